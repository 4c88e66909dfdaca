"""Figure 3 as a file of its own: images with their labels, for a paper or a slide."""

from collections.abc import Sequence

from markupsafe import Markup

from healthgan.report.charts.svg import SMALL, Figure, element, text, width_of
from healthgan.report.page import data_uri
from healthgan.report.pictures import Example, Strip, noise_picture, png, row_of, strip_labels

GAP = 8.0


def example_figure(found: Sequence[Example]) -> Figure:
    """Noise where it is known, generated and nearest real image, one column an example."""
    rows: list[tuple[str, list[bytes | None]]] = [
        ("generated", [png(example.generated) for example in found])
    ]
    if any(example.noise is not None for example in found):
        noise = [None if example.noise is None else png(noise_picture(example.noise)) for example in found]
        rows.insert(0, ("noise", noise))
    if any(example.real is not None for example in found):
        rows.append(("nearest real", [None if one.real is None else png(one.real) for one in found]))

    def draw(width: float) -> tuple[Markup, float]:
        left = 84.0
        side = min((width - left) / len(found) - GAP, 96.0)
        parts, y = [], 22.0
        for column, example in enumerate(found):
            x = left + column * (side + GAP) + side / 2
            if example.epoch is not None:
                parts.append(text(x, 13, f"epoch {example.epoch}", anchor="middle", size=SMALL))
        for name, pictures in rows:
            parts.append(text(0, y + side / 2 + 4, name))
            for column, content in enumerate(pictures):
                if content is not None:
                    parts.append(_image(content, left + column * (side + GAP), y, side, side))
            y += side + GAP
        for column, example in enumerate(found):
            x = left + column * (side + GAP) + side / 2
            parts.append(text(x, y + 8, f"{example.likeness:.3f}", anchor="middle", size=SMALL))
        return Markup().join(parts), y + 18

    told = ", ".join(f"{example.likeness:.3f}" for example in found)
    return Figure("figure-3", "Generated images beside the real one each is most like", f"SSIM {told}.", draw)


def strip_figure(found: list[Strip]) -> Figure:
    """The images over the epochs as one picture, a row an epoch, the epochs labelled."""
    bands = [row_of(strip.images) for strip in found]
    labels = strip_labels(found)
    left = max(width_of(label, SMALL) for label in labels) + 12

    def draw(width: float) -> tuple[Markup, float]:
        parts, y = [], 4.0
        for label, band in zip(labels, bands, strict=True):
            height = (width - left) * band.shape[0] / band.shape[1]
            parts.append(text(left - 10, y + height / 2 + 4, label, anchor="end", size=SMALL))
            parts.append(_image(png(band), left, y, width - left, height))
            y += height + 4
        return Markup().join(parts), y

    return Figure(
        "figure-3-epochs", "Images of fixed noise vectors over the epochs", f"{', '.join(labels)}.", draw
    )


def _image(content: bytes, x: float, y: float, width: float, height: float) -> Markup:
    return element(
        "image",
        x=x,
        y=y,
        width=width,
        height=height,
        href=data_uri(content, "png"),
        preserveAspectRatio="none",
        style="image-rendering: pixelated",
    )
