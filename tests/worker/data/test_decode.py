import struct
import zlib
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from models.config.values import ImageShape
from worker.data.decode import UnusableImage, decode_file


def save(image: Image.Image, path: Path, **options: Any) -> Path:
    image.save(path, **options)
    return path


def bands(width: int, height: int) -> Image.Image:
    """Red, green and blue from left to right, the green one square."""
    pixels = np.zeros((height, width, 3), np.uint8)
    edge = (width - height) // 2
    pixels[:, :edge, 0] = pixels[:, edge : edge + height, 1] = pixels[:, edge + height :, 2] = 255
    return Image.fromarray(pixels)


def middle(pixels: NDArray[np.uint8]) -> list[int]:
    size = pixels.shape[1]
    return [int(value) for value in pixels[:, size // 2, size // 2]]


def test_image_of_the_right_size_keeps_every_pixel(tmp_path: Path) -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (32, 32, 3), dtype=np.uint8)
    path = save(Image.fromarray(pixels), tmp_path / "a.png")
    np.testing.assert_array_equal(decode_file(path, ImageShape(32, 32, 3)), pixels.transpose(2, 0, 1))


def test_wide_image_is_cropped_to_its_middle(tmp_path: Path) -> None:
    pixels = decode_file(save(bands(120, 40), tmp_path / "a.png"), ImageShape(32, 32, 3))
    assert pixels.shape == (3, 32, 32)
    assert (pixels[1] == 255).all()
    assert not pixels[[0, 2]].any()


def test_tall_image_is_cropped_to_its_middle(tmp_path: Path) -> None:
    pixels = decode_file(save(bands(120, 40).rotate(90, expand=True), tmp_path / "a.png"), ImageShape(32, 32, 3))
    assert (pixels[1] == 255).all()


def test_shrinking_is_antialiased(tmp_path: Path) -> None:
    board = (np.indices((256, 256)).sum(0) % 2 * 255).astype(np.uint8)
    pixels = decode_file(save(Image.fromarray(board), tmp_path / "a.png"), ImageShape(32, 32, 1))
    assert abs(pixels.astype(int) - 127).max() <= 3


def test_large_jpeg_decoded_at_a_fraction_looks_the_same(tmp_path: Path) -> None:
    y, x = np.mgrid[0:1024, 0:1024] / 1024
    smooth = Image.fromarray((127.5 + 127.5 * np.sin(9 * x) * np.cos(7 * y)).astype(np.uint8))
    jpeg = decode_file(save(smooth, tmp_path / "a.jpg", quality=95), ImageShape(64, 64, 1)).astype(int)
    png = decode_file(save(smooth, tmp_path / "a.png"), ImageShape(64, 64, 1)).astype(int)
    assert abs(jpeg - png).max() <= 3


def test_exif_rotation_is_applied(tmp_path: Path) -> None:
    image = Image.new("RGB", (64, 64), "black")
    image.paste("white", (0, 0, 64, 32))  # the upper half
    exif = Image.Exif()
    exif[0x0112] = 6  # the camera was turned: rotate by 90 degrees clockwise to see it upright
    pixels = decode_file(save(image, tmp_path / "a.jpg", exif=exif), ImageShape(64, 64, 1))[0]
    assert pixels[:, 40:].min() > 240
    assert pixels[:, :24].max() < 15


def test_grey_is_repeated_for_colour(tmp_path: Path) -> None:
    pixels = decode_file(save(Image.new("L", (40, 40), 77), tmp_path / "a.png"), ImageShape(28, 28, 3))
    assert middle(pixels) == [77, 77, 77]


def test_colour_is_weighed_for_grey(tmp_path: Path) -> None:
    greens = decode_file(save(Image.new("RGB", (40, 40), (0, 255, 0)), tmp_path / "g.png"), ImageShape(28, 28, 1))
    blues = decode_file(save(Image.new("RGB", (40, 40), (0, 0, 255)), tmp_path / "b.png"), ImageShape(28, 28, 1))
    assert middle(greens) == [150]
    assert middle(blues) == [29]


def test_cmyk_is_converted(tmp_path: Path) -> None:
    red = Image.new("CMYK", (40, 40), (0, 255, 255, 0))
    pixels = decode_file(save(red, tmp_path / "a.jpg", quality=100), ImageShape(28, 28, 3))
    assert middle(pixels) == pytest.approx([255, 0, 0], abs=3)


@pytest.mark.parametrize("suffix", ["png", "tiff"])
def test_16_bits_are_scaled_to_8(suffix: str, tmp_path: Path) -> None:
    ramp = np.tile(np.linspace(0, 65535, 64).astype(np.uint16), (64, 1))
    pixels = decode_file(save(Image.fromarray(ramp), tmp_path / f"a.{suffix}"), ImageShape(64, 64, 1))[0]
    np.testing.assert_array_equal(pixels[5], np.round(ramp[5] / 257).astype(np.uint8))


def test_palette_is_looked_up(tmp_path: Path) -> None:
    image = Image.new("RGB", (40, 40), (10, 200, 30)).convert("P", palette=Image.Palette.ADAPTIVE)
    assert middle(decode_file(save(image, tmp_path / "a.png"), ImageShape(28, 28, 3))) == [10, 200, 30]


def test_one_bit_images_become_black_and_white(tmp_path: Path) -> None:
    assert middle(decode_file(save(Image.new("1", (40, 40), 1), tmp_path / "a.png"), ImageShape(28, 28, 1))) == [255]


@pytest.mark.parametrize(("mode", "color"), [("RGBA", (255, 0, 0, 0)), ("LA", (0, 0))])
def test_transparent_pixels_lie_on_white(mode: str, color: tuple[int, ...], tmp_path: Path) -> None:
    path = save(Image.new(mode, (40, 40), color), tmp_path / "a.png")
    assert middle(decode_file(path, ImageShape(28, 28, 3))) == [255, 255, 255]


def test_half_transparent_red_is_pink(tmp_path: Path) -> None:
    path = save(Image.new("RGBA", (40, 40), (255, 0, 0, 128)), tmp_path / "a.png")
    assert middle(decode_file(path, ImageShape(28, 28, 3))) == pytest.approx([255, 127, 127], abs=1)


def test_transparent_palette_entry_lies_on_white(tmp_path: Path) -> None:
    image = Image.new("P", (40, 40), 0)
    image.putpalette([0, 0, 0, 255, 255, 255])
    path = save(image, tmp_path / "a.png", transparency=0)
    assert middle(decode_file(path, ImageShape(28, 28, 3))) == [255, 255, 255]


def test_animation_gives_its_first_frame(tmp_path: Path) -> None:
    first, second = Image.new("RGB", (40, 40), "blue"), Image.new("RGB", (40, 40), "red")
    path = save(first, tmp_path / "a.gif", save_all=True, append_images=[second])
    assert middle(decode_file(path, ImageShape(28, 28, 3))) == [0, 0, 255]


def test_small_image_is_enlarged_up_to_four_times(tmp_path: Path) -> None:
    path = save(Image.new("L", (16, 20), 99), tmp_path / "a.png")
    assert middle(decode_file(path, ImageShape(64, 64, 1))) == [99]


@pytest.mark.parametrize(
    ("dimensions", "size", "least"), [((16, 9), 28, 16), ((1, 1), 28, 16), ((31, 400), 128, 32), ((15, 15), 32, 16)]
)
def test_too_small_image_is_refused(dimensions: tuple[int, int], size: int, least: int, tmp_path: Path) -> None:
    path = save(Image.new("L", dimensions), tmp_path / "a.png")
    width, height = dimensions
    with pytest.raises(UnusableImage, match=f"^is {width}x{height} px: images need at least {least} px on each side$"):
        decode_file(path, ImageShape(size, size, 1))


@pytest.mark.parametrize("suffix", ["jpg", "png", "webp", "gif", "tiff", "bmp"])
def test_truncated_image_is_refused(suffix: str, tmp_path: Path) -> None:
    noise = np.random.default_rng(1).integers(0, 256, (64, 64, 3), dtype=np.uint8)
    path = save(Image.fromarray(noise), tmp_path / f"a.{suffix}")
    path.write_bytes(path.read_bytes()[:-1500])
    with pytest.raises(UnusableImage, match=r"cannot be|no picture"):
        decode_file(path, ImageShape(32, 32, 3))


def test_damaged_image_never_raises_anything_else(tmp_path: Path) -> None:
    rng = np.random.default_rng(2)
    noise = Image.fromarray(rng.integers(0, 256, (40, 40, 3), dtype=np.uint8))
    for suffix in ("jpg", "png", "webp", "gif", "tiff"):
        whole = np.frombuffer(save(noise, tmp_path / f"whole.{suffix}").read_bytes(), np.uint8)
        for _ in range(60):
            damaged = whole.copy()
            damaged[rng.integers(0, len(whole), 8)] = rng.integers(0, 256, 8)
            path = tmp_path / f"damaged.{suffix}"
            path.write_bytes(damaged.tobytes())
            with suppress(UnusableImage):
                assert decode_file(path, ImageShape(28, 28, 3)).shape == (3, 28, 28)


def test_empty_file_says_so(tmp_path: Path) -> None:
    path = tmp_path / "a.png"
    path.touch()
    with pytest.raises(UnusableImage, match=r"^is empty$"):
        decode_file(path, ImageShape(28, 28, 1))


@pytest.mark.parametrize("content", [b"<html>not found</html>", b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 40 40\n"])
def test_other_content_under_an_image_name_is_refused(content: bytes, tmp_path: Path) -> None:
    path = tmp_path / "a.png"
    path.write_bytes(content)
    with pytest.raises(UnusableImage, match=r"^holds no picture of a known format$"):
        decode_file(path, ImageShape(28, 28, 1))


def test_file_that_is_gone_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UnusableImage, match=r"^cannot be read: No such file"):
        decode_file(tmp_path / "a.png", ImageShape(28, 28, 1))


def chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


@pytest.mark.parametrize("side", [10_000, 30_000])
def test_pixel_bomb_is_refused_before_it_unfolds(side: int, tmp_path: Path) -> None:
    header = struct.pack(">IIBBBBB", side, side, 8, 2, 0, 0, 0)
    path = tmp_path / "a.png"
    path.write_bytes(b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(bytes(100))))
    with pytest.raises(UnusableImage, match=r"^has more than 89,478,485 pixels"):
        decode_file(path, ImageShape(28, 28, 3))


def test_pixels_of_unknown_range_are_refused(tmp_path: Path) -> None:
    floats = save(Image.new("F", (40, 40), 0.5), tmp_path / "f.tiff")
    with pytest.raises(UnusableImage, match="floating-point"):
        decode_file(floats, ImageShape(28, 28, 1))
    wide = save(Image.new("I", (40, 40), 1 << 20), tmp_path / "i.tiff")
    with pytest.raises(UnusableImage, match="32-bit"):
        decode_file(wide, ImageShape(28, 28, 1))
