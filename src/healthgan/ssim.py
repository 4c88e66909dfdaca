"""Exact structural similarity of every query with every reference, and the best reference of each.

The value is that of Wang, Bovik, Sheikh and Simoncelli, "Image quality assessment: from error visibility to
structural similarity", IEEE Transactions on Image Processing 13 (2004), equation 13, as scikit-image
computes it by default: uniform 7×7 windows, sample covariance, K1 = 0.01, K2 = 0.03, the mean over the
windows that lie wholly inside the image, and over the channels. The error is at most 1e-6 (derived in
``_ssim_kernel/blocks.py``).
"""

import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

from healthgan.errors import InputError

MIN_RANGE, MAX_RANGE = 0.001, 65535.0
_WINDOW = 7
_GPU_WORK = 10**10  # pairs of pixels; starting a GPU takes as long as two cores do with so many
_NVIDIA = Path("/proc/driver/nvidia/version")  # there where Linux has the driver

Pixels = NDArray[np.uint8]
Progress = Callable[[int, int], None]
_Codes = NDArray[np.int64]
_Job = tuple[Pixels, Pixels, _Codes, NDArray[np.float64], _Codes, _Codes]
_Found = tuple[_Codes, tuple[NDArray[np.float64], _Codes]]  # queries, the best value and reference of each


def best_match(
    queries: Pixels,
    references: Pixels,
    data_range: Literal["query"] | float = "query",
    device: Literal["auto", "cpu", "cuda"] = "auto",
    query_groups: ArrayLike | None = None,
    reference_groups: ArrayLike | None = None,
    threads: int | None = None,
    progress: Progress | None = None,
) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
    """Find the reference that is most similar to each query, over all pairs.

    The memory taken besides the arrays given and returned grows by about 0.1 KiB a query, and not with the
    number of references.

    Args:
        queries: (N, H, W) or (N, H, W, C) uint8, at least 7×7 pixels.
        references: (M, H, W) or (M, H, W, C) uint8, M ≥ 1.
        data_range: ``"query"`` for maximum − minimum of each query over all its channels (as the 2023 study
            had it), or one number from 0.001 to 65535, such as 255.
        device: where to compute. ``"auto"`` is the CPU unless the work is large and there is an NVIDIA GPU that
            PyTorch can use. The two may differ by 2e-6, and in which of two references that close they name.
        query_groups: (N,) integers or strings, such as patients. Pairs of equal group are left out.
        reference_groups: (M,) likewise; given with ``query_groups`` or not at all.
        threads: how many to use; by default one for each core that this process may use. The result does not
            depend on it. Without meaning on a GPU.
        progress: told, by the calling thread, how many pairs are done and of how many.

    Returns:
        (N,) the highest structural similarity, −1 to 1, and (N,) the position of its reference, the lowest
        among equals. NaN and −1 where no reference is left, or where the query is constant: it has nothing
        that could be similar, and its own range is zero.

    Raises:
        InputError: an argument has another shape, type or value than the ones above.
    """
    x, y = _check_images(queries, "queries"), _check_images(references, "references")
    if x.shape[1:] != y.shape[1:]:
        raise InputError(
            f"queries are {x.shape[1:]} (height, width, channels) but references are {y.shape[1:]}; "
            "both must be equal. Resample or convert one of them."
        )
    if len(y) == 0:
        raise InputError("There are no references; at least one image is needed.")
    if threads is not None and threads < 1:
        raise InputError(f"threads is {threads}; 1 or more is needed.")
    on_gpu = _on_gpu(device, len(x) * y.size)
    ranges = _ranges(x, data_range)
    x_codes, y_codes = _codes(query_groups, reference_groups, len(x), len(y))

    usable = np.flatnonzero([image.min() != image.max() for image in x])
    score = np.full(len(x), np.nan, np.float32)
    index = np.full(len(x), -1, np.int64)
    job = (x, y, usable, ranges, x_codes, y_codes)
    done = 0
    results = _on_cuda(job) if on_gpu else _on_cpu(job, threads or _cores(), progress)
    for members, (value, position) in results:
        found = position >= 0
        score[members[found]] = np.minimum(value[found], 1.0)
        index[members[found]] = position[found]
        done += len(members) * len(y)
        if progress is not None and on_gpu:
            progress(done, len(usable) * len(y))
    return score, index


def _on_cpu(job: _Job, threads: int, progress: Progress | None) -> Iterator[_Found]:
    from healthgan._ssim_kernel import search  # it imports Numba, which is slow, so only where it is needed

    return search.search(*job, threads, progress)


def _on_cuda(job: _Job) -> Iterator[_Found]:
    from healthgan._ssim_kernel import gpu  # likewise PyTorch

    return gpu.search(*job, "cuda")


def _on_gpu(device: str, work: int) -> bool:
    """Whether to use a GPU for so many pairs of pixels; PyTorch is imported only where there may be one."""
    if device not in ("auto", "cpu", "cuda"):
        raise InputError(f"device is {device!r}; 'auto', 'cpu' and 'cuda' are allowed.")
    if device == "cpu" or (device == "auto" and (work < _GPU_WORK or not _NVIDIA.exists())):
        return False
    import torch

    if device == "cuda" and not torch.cuda.is_available():
        raise InputError("device is 'cuda', but PyTorch finds no GPU that it can use. Give 'auto' or 'cpu'.")
    return torch.cuda.is_available()


def _cores() -> int:
    """Cores that this process may use.

    Not ``numba.get_num_threads()``: that starts Numba's own threads, and with them sets the number of OpenMP
    threads of whoever calls, so that PyTorch then trains small networks ten times slower.
    """
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _check_images(images: Pixels, name: str) -> Pixels:
    """The images as (N, H, W, C)."""
    found = getattr(images, "dtype", type(images).__name__)
    if found != np.dtype(np.uint8):
        raise InputError(f"{name} are {found}; an array of uint8 (0…255) is needed. Convert them first.")
    if images.ndim not in (3, 4):
        raise InputError(f"{name} have shape {images.shape}; (N, H, W) or (N, H, W, C) is needed.")
    if images.ndim == 3:
        images = images[..., np.newaxis]
    if min(images.shape[1:3]) < _WINDOW or images.shape[3] < 1:
        height, width, channels = images.shape[1:]
        raise InputError(
            f"{name} are {height}×{width} pixels with {channels} channels; at least "
            f"{_WINDOW}×{_WINDOW} and one channel are needed."
        )
    return images


def _ranges(x: Pixels, data_range: Literal["query"] | float) -> NDArray[np.float64]:
    """(N,) the data range of each query."""
    if isinstance(data_range, str):
        if data_range != "query":
            raise InputError(f"data_range is {data_range!r}; 'query' or a number is allowed.")
        return np.array([float(image.max()) - float(image.min()) for image in x], np.float64)
    if not MIN_RANGE <= data_range <= MAX_RANGE:
        raise InputError(
            f"data_range is {data_range}; 'query' or a number from {MIN_RANGE} to {MAX_RANGE:.0f} is allowed "
            "(255 for the whole range of uint8)."
        )
    return np.full(len(x), float(data_range))


def _codes(
    x_groups: ArrayLike | None, y_groups: ArrayLike | None, queries: int, references: int
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Both group lists as numbers, equal for equal groups; without groups, never equal."""
    if (x_groups is None) != (y_groups is None):
        raise InputError("query_groups and reference_groups are needed both, or neither.")
    if x_groups is None or y_groups is None:
        return np.zeros(queries, np.int64), np.ones(references, np.int64)
    x_names = _check_groups(x_groups, queries, "query_groups", "queries")
    y_names = _check_groups(y_groups, references, "reference_groups", "references")
    if queries and (x_names.dtype.kind == "U") != (y_names.dtype.kind == "U"):
        raise InputError(
            f"query_groups are {x_names.dtype} but reference_groups are {y_names.dtype}; "
            "both must be integers, or both strings."
        )
    kinds = {*x_names.tolist(), *y_names.tolist()}
    code = {name: number for number, name in enumerate(kinds)}
    return (
        np.array([code[name] for name in x_names.tolist()], np.int64),
        np.array([code[name] for name in y_names.tolist()], np.int64),
    )


def _check_groups(groups: ArrayLike, count: int, name: str, images: str) -> NDArray[np.generic]:
    names: NDArray[np.generic] = np.asarray(groups)
    if names.shape != (count,):
        raise InputError(f"{name} have shape {names.shape}; {count} {images} need ({count},).")
    if count and names.dtype.kind not in "iuU":
        raise InputError(f"{name} are {names.dtype}; integers or strings are needed.")
    return names
