"""How :mod:`healthgan.ssim` computes: on the CPU (search, order, blocks, row) and on a GPU (gpu)."""
