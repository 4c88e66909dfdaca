"""Figure 3: noise, generated and real images, and the images of fixed noise vectors as training goes on."""

import io
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

from healthgan.report.reading import CANDIDATES, EXAMPLES, REALS, Run, history_file

LARGEST = 64  # pixels a side that an image takes in a picture of many
FRAMES = 100
GIF_BYTES = 750_000
GREYS = 32


@dataclass(frozen=True)
class Example:
    """A generated image, where it came from, and the real image it is most like.

    Attributes:
        noise: (L,) the noise vector; None where its training's images are not at hand.
        generated: (H, W, C) uint8.
        real: (H, W, C) uint8; None where the page leaves real images out.
        likeness: the SSIM of the two.
        round: the number of the GAN's training; None where not known or none was, as the next two.
        epoch: after which it was rendered.
        vector: the number of the noise vector.
        position: the place of the image in what was brought; None where it was made here.
    """

    noise: NDArray[np.float32] | None
    generated: NDArray[np.uint8]
    real: NDArray[np.uint8] | None
    likeness: float
    round: int | None
    epoch: int | None
    vector: int | None
    position: int | None = None


@dataclass(frozen=True)
class Strip:
    """The images of the fixed noise vectors at one time: (vectors, H, W, C) uint8."""

    round: int
    epoch: int
    images: NDArray[np.uint8]


def examples(run: Run) -> list[Example]:
    """The generated images that the likeness job picked, from least to most alike."""
    generated, likeness = (run.array(EXAMPLES, key) for key in ("generated", "likeness"))
    if generated is None or likeness is None:
        return []
    real = _nearest_reals(run)
    if real is None:
        return []
    origins = _origins(run, generated)
    found = []
    for image, nearest, value, origin in zip(generated, real, likeness, origins, strict=True):
        number, epoch, vector = origin or (None, None, None)
        if run.brought:
            found.append(Example(None, image, nearest, float(value), None, None, None, vector))
            continue
        noise = None if number is None else run.array(history_file(number), "noise")
        own = None if noise is None or vector is None else noise[vector]
        found.append(Example(own, image, nearest, float(value), number, epoch, vector))
    return found


def strips(run: Run) -> list[Strip]:
    """The fixed noise vectors' images at chosen epochs of the first training, and at the end of the others."""
    rounds = run.rounds()
    found = []
    for place, number in enumerate(rounds):
        history = run.array(history_file(number), "history")
        assert history is not None
        last = len(history) - 1
        epochs = chosen_epochs(last) if place == 0 else [last]
        found += [Strip(number, epoch, history[epoch]) for epoch in epochs]
    return found


def chosen_epochs(last: int, count: int = 10) -> list[int]:
    """Up to ``count`` epochs from 0 (before training) to the last, ever further apart."""
    if last < count:
        return list(range(last + 1))
    shares = np.linspace(0, 1, count) ** 2
    return [int(epoch) for epoch in np.unique((last * shares).round())]


def animation(run: Run) -> bytes | None:
    """The images of the first training over its epochs as a GIF of bounded size; None without a training.

    All epochs are shown where they are few, else about a hundred, evenly spaced.
    """
    rounds = run.rounds()
    history = run.array(history_file(rounds[0]), "history") if rounds else None
    if history is None:
        return None
    tried = _animated(history, 10)
    frames = FRAMES if len(tried) * FRAMES <= 10 * GIF_BYTES else max(10, 10 * GIF_BYTES // len(tried))
    while frames > 10:
        content = _animated(history, frames)
        if len(content) <= GIF_BYTES:
            return content
        frames = frames * 4 // 5
    return tried


def _animated(history: NDArray[np.uint8], frames: int) -> bytes:
    """So many of all epochs, evenly spaced, as a GIF."""
    last = len(history) - 1
    shown = np.unique(np.linspace(0, last, min(frames, last + 1)).round().astype(int))
    return _gif([_frame(history[epoch], int(epoch), last) for epoch in shown])


def noise_picture(noise: NDArray[np.float32]) -> NDArray[np.uint8]:
    """A noise vector as a square picture, −3 black and 3 white: (S, S, 1) uint8; the square's rest is mid-grey."""
    side = int(np.ceil(np.sqrt(len(noise))))
    square = np.zeros(side * side, np.float64)
    square[: len(noise)] = noise
    grey = np.clip((square + 3) / 6, 0, 1) * 255
    return grey.round().astype(np.uint8).reshape(side, side, 1)


def row_of(images: NDArray[np.uint8], between: int = 255) -> NDArray[np.uint8]:
    """Images side by side, at most ``LARGEST`` pixels high, a line of grey ``between``: (N, H, W, C) → (h, w, C)."""
    small = [fitted(image) for image in images]
    height, _, channels = small[0].shape
    space = np.full((height, 1, channels), between, np.uint8)
    parts = [part for image in small for part in (image, space)]
    return np.concatenate(parts[:-1], axis=1)


def fitted(image: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """An image of at most ``LARGEST`` pixels a side: (H, W, C) uint8."""
    height, width, channels = image.shape
    if max(height, width) <= LARGEST:
        return image
    scale = LARGEST / max(height, width)
    size = (max(1, round(width * scale)), max(1, round(height * scale)))
    small = np.asarray(_pillow(image).resize(size, Image.Resampling.BOX))
    return small.reshape(size[1], size[0], channels)


def strip_png(images: NDArray[np.uint8]) -> bytes:
    """Images side by side as a PNG file, nothing but the page between them: (N, H, W, C) uint8."""
    picture = _pillow(row_of(images))
    shows = row_of(np.full((*images.shape[:3], 1), 255, np.uint8), between=0)
    picture.putalpha(_pillow(shows))
    return _encoded(picture)


def png(image: NDArray[np.uint8]) -> bytes:
    """An image (H, W, C) uint8 as a PNG file."""
    return _encoded(_pillow(image))


def strip_labels(found: list[Strip]) -> list[str]:
    """What each row of the grid is: its epoch, and its training where that is not the first."""
    first = found[0].round
    return [
        f"epoch {strip.epoch}" if strip.round == first else f"training {strip.round + 1}, epoch {strip.epoch}"
        for strip in found
    ]


def _nearest_reals(run: Run) -> NDArray[np.uint8] | None:
    """The real image that each example is most like: (N, H, W, C); runs of earlier versions kept them with the examples."""
    nearest = run.array(EXAMPLES, "nearest")
    if nearest is None:
        return run.array(EXAMPLES, "real")
    positions, pixels = run.array(REALS, "image"), run.array(REALS, "pixels")
    return None if positions is None or pixels is None else pixels[np.searchsorted(positions, nearest)]


def _origins(run: Run, generated: NDArray[np.uint8]) -> Iterator[tuple[int, int, int] | None]:
    """Round, epoch and vector of each image, found again among the candidates."""
    images = run.array(CANDIDATES, "images")
    places = [run.array(CANDIDATES, key) for key in ("round", "epoch", "vector")]
    for image in generated:
        equal = np.zeros(0, bool) if images is None else (images == image).all(axis=(1, 2, 3))
        same = np.flatnonzero(equal)
        if len(same) == 0:
            yield None
        else:
            origin = [int(place[same[0]]) for place in places if place is not None]
            yield origin[0], origin[1], origin[2]


def _frame(images: NDArray[np.uint8], epoch: int, last: int) -> Image.Image:
    """The images in a square grid; below them the epoch in words and as a bar."""
    small = [fitted(image) for image in images]
    side = int(np.ceil(np.sqrt(len(small))))
    height, width = small[0].shape[:2]
    scale = 2 if max(height, width) <= LARGEST // 2 else 1
    grid = Image.new("RGB" if small[0].shape[2] == 3 else "L", (side * width, side * height), "white")
    for number, image in enumerate(small):
        grid.paste(_pillow(image), (number % side * width, number // side * height))
    grid = grid.resize((grid.width * scale, grid.height * scale), Image.Resampling.NEAREST)
    bar = 20
    frame = Image.new(grid.mode, (grid.width, grid.height + bar), "black")
    frame.paste(grid, (0, 0))
    draw = ImageDraw.Draw(frame)
    draw.text((5, grid.height + 3), f"epoch {epoch}", fill="white", font=ImageFont.load_default(12))
    start, end, middle = grid.width * 0.4, grid.width - 8, grid.height + bar // 2
    draw.line((start, middle, end, middle), "dimgray", 2)
    draw.line((start, middle, start + (end - start) * epoch / max(last, 1), middle), "white", 2)
    step = 256 // GREYS
    return frame.point(lambda value: value // step * step) if frame.mode == "L" else frame.quantize(GREYS)


def _gif(frames: list[Image.Image]) -> bytes:
    stream = io.BytesIO()
    pauses = [120] * (len(frames) - 1) + [2000]
    frames[0].save(
        stream, "GIF", save_all=True, append_images=frames[1:], duration=pauses, loop=0, optimize=False
    )
    return stream.getvalue()


def _encoded(picture: Image.Image) -> bytes:
    stream = io.BytesIO()
    picture.save(stream, "PNG", optimize=True)
    return stream.getvalue()


def _pillow(image: NDArray[np.uint8]) -> Image.Image:
    return Image.fromarray(image if image.shape[2] == 3 else image[..., 0])
