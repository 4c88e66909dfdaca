"""SMOTE on pixels."""

import numpy as np

from healthgan.arms.bench import Pixels


def smote(rare: Pixels, count: int, rng: np.random.Generator) -> Pixels:
    """Images between a rare image and one of its five nearest (Chawla et al., JAIR 2002), by imbalanced-learn.

    Args:
        rare: (N, H, W, C) uint8, N ≥ 2.
        count: how many; none for 0 or less.
        rng: gives the seed.

    Returns:
        (count, H, W, C) uint8.
    """
    from imblearn.over_sampling import SMOTE  # slow to import

    if count <= 0:
        return rare[:0]
    flat = rare.reshape(len(rare), -1).astype(np.float32)
    # SMOTE looks at the class that it makes images of and no other: one row stands for the rest.
    X, y = np.concatenate([flat, flat[:1]]), np.append(np.ones(len(flat), int), 0)
    sampler = SMOTE(
        sampling_strategy={1: len(flat) + count},
        k_neighbors=min(5, len(flat) - 1),
        random_state=int(rng.integers(2**31)),
    )
    made, _ = sampler.fit_resample(X, y)
    images: Pixels = np.rint(made[len(X) :]).astype(np.uint8).reshape(count, *rare.shape[1:])
    return images
