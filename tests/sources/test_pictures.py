"""One picture file to 8-bit pixels: every kind that is read."""

import numpy as np
import pytest
from PIL import Image

from healthgan.sources.pictures import read_picture

rng = np.random.default_rng(0)
GREY = rng.integers(0, 256, (18, 20), dtype=np.uint8)
COLOUR = rng.integers(0, 256, (18, 20, 3), dtype=np.uint8)
DEEP = rng.integers(0, 65536, (18, 20), dtype=np.uint16)


@pytest.mark.parametrize("suffix", [".png", ".tif", ".TIFF", ""])
@pytest.mark.parametrize("array", [GREY, COLOUR], ids=["grey", "rgb"])
def test_lossless_eight_bits_are_kept(tmp_path, suffix, array):
    path = tmp_path / f"a{suffix}"
    Image.fromarray(array).save(path, format="TIFF" if "tif" in suffix.lower() else "PNG")
    found = read_picture(path)
    np.testing.assert_array_equal(found.pixels, array.reshape(18, 20, -1))
    assert found.stored_rgb == (array.ndim == 3)
    assert found.notes == ()
    assert found.deep_maximum is None
    assert found.patient is None


def test_jpeg_is_what_pillow_decodes(tmp_path):
    path = tmp_path / "a.jpeg"
    Image.fromarray(COLOUR).save(path, quality=90)
    with Image.open(path) as image:
        np.testing.assert_array_equal(read_picture(path).pixels, np.asarray(image))


def test_rgb_with_equal_channels_is_grey(tmp_path):
    path = tmp_path / "a.png"
    Image.fromarray(np.repeat(GREY[..., np.newaxis], 3, axis=2)).save(path)
    found = read_picture(path)
    np.testing.assert_array_equal(found.pixels[..., 0], GREY)
    assert found.stored_rgb


@pytest.mark.parametrize("suffix", [".png", ".tif"])
def test_sixteen_bits_are_scaled_by_their_depth(tmp_path, suffix):
    path = tmp_path / f"a{suffix}"
    Image.fromarray(DEEP).save(path)
    found = read_picture(path)
    np.testing.assert_array_equal(found.pixels[..., 0], np.rint(DEEP / 257))
    assert found.notes == ("16-bit grey scaled by its bit depth (65535 → 255)",)
    assert found.deep_maximum == DEEP.max()


def test_sixteen_bits_where_white_is_zero(tmp_path):
    path = tmp_path / "a.tif"
    Image.fromarray(DEEP).save(path, tiffinfo={262: 0})
    with Image.open(path) as image:
        assert image.tag_v2[262] == 0
        stored = np.asarray(image)
    np.testing.assert_array_equal(
        read_picture(path).pixels[..., 0], np.rint((65535 - stored.astype(int)) / 257)
    )


def test_twelve_bits_are_scaled_by_twelve(tmp_path):
    """A TIFF of 2 × 16 pixels of 12 bits, written by hand: two pixels in three bytes."""
    values = np.linspace(0, 4095, 256).astype(int)
    packed = b"".join(
        bytes([a >> 4, (a & 15) << 4 | b >> 8, b & 255])
        for a, b in zip(values[::2], values[1::2], strict=True)
    )
    tags = [
        (256, 16),
        (257, 16),
        (258, 12),
        (259, 1),
        (262, 1),
        (273, 8),
        (277, 1),
        (278, 16),
        (279, len(packed)),
    ]
    ifd = len(tags).to_bytes(2, "little") + b"".join(
        tag.to_bytes(2, "little")
        + (4).to_bytes(2, "little")
        + (1).to_bytes(4, "little")
        + value.to_bytes(4, "little")
        for tag, value in tags
    )
    path = tmp_path / "a.tif"
    path.write_bytes(b"II*\0" + (8 + len(packed)).to_bytes(4, "little") + packed + ifd + bytes(4))
    found = read_picture(path)
    np.testing.assert_array_equal(found.pixels.ravel(), np.rint(values * 255 / 4095))
    assert found.notes == ("12-bit grey scaled by its bit depth (4095 → 255)",)


def test_sixteen_bit_colour_keeps_its_upper_byte(tmp_path):
    """A PNG of 16-bit RGB, which Pillow reads but does not write."""
    import struct
    import zlib

    deep = rng.integers(0, 65536, (18, 20, 3), dtype=np.uint16)
    rows = b"".join(b"\0" + row.astype(">u2").tobytes() for row in deep)

    def chunk(kind, body):
        return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))

    header = struct.pack(">IIBBBBB", 20, 18, 16, 2, 0, 0, 0)
    path = tmp_path / "a.png"
    path.write_bytes(
        b"\x89PNG\r\n\x1a\n"
        + chunk(b"IHDR", header)
        + chunk(b"IDAT", zlib.compress(rows))
        + chunk(b"IEND", b"")
    )
    found = read_picture(path)
    np.testing.assert_array_equal(found.pixels, deep >> 8)
    assert found.notes == ("of 16-bit colour the upper 8 bits kept",)


def test_black_and_white_and_palette(tmp_path):
    path = tmp_path / "a.png"
    Image.fromarray(GREY > 127).save(path)
    np.testing.assert_array_equal(read_picture(path).pixels[..., 0], np.where(GREY > 127, 255, 0))
    few = COLOUR // 128 * 255
    Image.fromarray(few).convert("P", palette=Image.Palette.ADAPTIVE).save(path)
    found = read_picture(path)
    assert found.stored_rgb
    np.testing.assert_array_equal(found.pixels, few)


@pytest.mark.parametrize("mode", ["RGBA", "LA"])
def test_an_opaque_alpha_channel_is_dropped(tmp_path, mode):
    path = tmp_path / "a.png"
    array = COLOUR if mode == "RGBA" else GREY
    Image.fromarray(array).convert(mode).save(path)
    found = read_picture(path)
    np.testing.assert_array_equal(found.pixels, array.reshape(18, 20, -1))
    assert found.stored_rgb == (mode == "RGBA")


@pytest.mark.parametrize("orientation", range(1, 9))
def test_exif_orientation_is_applied(tmp_path, orientation):
    path = tmp_path / "a.png"
    exif = Image.Exif()
    exif[0x0112] = orientation
    Image.fromarray(GREY).save(path, exif=exif)
    upright = {
        1: GREY,
        2: GREY[:, ::-1],
        3: GREY[::-1, ::-1],
        4: GREY[::-1],
        5: GREY.T,
        6: GREY.T[:, ::-1],
        7: GREY.T[::-1, ::-1],
        8: GREY.T[::-1],
    }
    found = read_picture(path)
    np.testing.assert_array_equal(found.pixels[..., 0], upright[orientation])
    assert found.notes == (() if orientation == 1 else ("turned upright as EXIF says",))


def test_the_picture_of_a_jpeg_with_preview_is_read(tmp_path):
    path = tmp_path / "a.jpg"
    Image.fromarray(COLOUR).save(
        path, format="MPO", save_all=True, append_images=[Image.fromarray(COLOUR[::2, ::2])]
    )
    assert read_picture(path).pixels.shape == (18, 20, 3)
