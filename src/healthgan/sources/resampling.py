"""Pictures brought to one size."""

import numpy as np
from numpy.typing import NDArray
from PIL import Image


def resample(picture: NDArray[np.uint8], size: int) -> NDArray[np.uint8]:
    """One (H, W, C) uint8 picture as (size, size, C).

    Padded to a square with black, the picture in the middle, then averaged over the area of each new
    pixel; where pixels have to be added, interpolated linearly instead.
    """
    height, width, channels = picture.shape
    side = max(height, width)
    if height != width:
        square = np.zeros((side, side, channels), np.uint8)
        top, left = (side - height) // 2, (side - width) // 2
        square[top : top + height, left : left + width] = picture
        picture = square
    if side == size:
        return picture
    image = Image.fromarray(picture[:, :, 0] if channels == 1 else picture)
    method = Image.Resampling.BOX if size < side else Image.Resampling.BILINEAR
    return np.asarray(image.resize((size, size), method)).reshape(size, size, channels)


def resample_all(pictures: NDArray[np.uint8], size: int) -> NDArray[np.uint8]:
    """(N, H, W, C) uint8 pictures as (N, size, size, C); the array itself where nothing is to be done."""
    if pictures.shape[1:3] == (size, size):
        return pictures
    result = np.empty((len(pictures), size, size, pictures.shape[3]), np.uint8)
    for number, picture in enumerate(pictures):
        result[number] = resample(picture, size)
    return result


def how_resampled(height: int, width: int, size: int) -> str:
    """The note that says what ``resample`` did."""
    side = max(height, width)
    steps = [
        *(["padded to a square with black"] if height != width else []),
        *(["averaged by area"] if size < side else []),
        *(["interpolated linearly"] if size > side else []),
    ]
    return f"{height}×{width} pixels {', then '.join(steps)} to {size}×{size}"
