from __future__ import annotations

import io
import subprocess
import sys
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image
from torchvision.utils import make_grid

from models.pictures import Format, Pixels, encode, grid, grid_size, loss_chart, side_limit

FORMATS: tuple[Format, ...] = ("png", "webp", "jpeg")
BLACK_AND_WHITE = np.array([0, 255], np.uint8).reshape(1, 2, 1)


def pictures(n: int, height: int, width: int, channels: int) -> Pixels:
    return np.random.default_rng(0).integers(0, 256, (n, height, width, channels), np.uint8)


def opened(data: bytes) -> Image.Image:
    return Image.open(io.BytesIO(data))


def test_importing_pictures_loads_neither_matplotlib_nor_torch() -> None:
    code = "import sys, models.pictures; print(sorted({'torch', 'matplotlib'} & set(sys.modules)))"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "[]\n"


@settings(deadline=None)
@given(
    n=st.integers(1, 20),
    nrow=st.none() | st.integers(1, 25),
    height=st.integers(1, 9),
    width=st.integers(1, 9),
    channels=st.sampled_from([1, 3]),
    scale=st.integers(1, 3),
)
def test_grids_equal_those_of_torchvision(
    n: int, nrow: int | None, height: int, width: int, channels: int, scale: int
) -> None:
    images = pictures(n, height, width, channels)
    columns = nrow or int(n**0.5)
    expected = make_grid(torch.from_numpy(images).permute(0, 3, 1, 2), nrow=columns, padding=2, pad_value=0)
    pixels = expected.permute(1, 2, 0).numpy()[..., :channels].repeat(scale, 0).repeat(scale, 1)
    ours = grid(images, nrow, scale)
    assert ours.tobytes() == pixels.tobytes()
    assert ours.shape == (*grid_size(n, height, width, nrow, scale), channels)


def test_images_need_not_be_square() -> None:
    assert grid(pictures(6, 3, 5, 1), nrow=3).shape == (2 * 5 + 2, 3 * 7 + 2, 1)
    assert grid_size(6, 3, 5, nrow=3) == (2 * 5 + 2, 3 * 7 + 2)
    assert grid_size(1, 3, 5, scale=2) == (6, 10)


def test_25_digits_are_152_px_wide() -> None:
    assert grid_size(25, 28, 28) == (152, 152)


def test_no_images_make_no_grid() -> None:
    with pytest.raises(ValueError, match="at least one image"):
        grid(pictures(0, 4, 4, 1))


@pytest.mark.parametrize("form", ["png", "webp"])
@pytest.mark.parametrize("channels", [1, 3])
def test_lossless_formats_give_back_every_pixel(form: Format, channels: int) -> None:
    picture = pictures(1, 13, 7, channels)[0]
    decoded = np.asarray(opened(encode(picture, form)).convert("L" if channels == 1 else "RGB"))
    assert decoded.tobytes() == picture.tobytes()


@pytest.mark.parametrize(("form", "mode"), [("png", "L"), ("jpeg", "L"), ("webp", "RGB")])
def test_grey_pictures_are_grey_files_where_the_format_has_them(form: Format, mode: str) -> None:
    assert opened(encode(BLACK_AND_WHITE, form)).mode == mode


@pytest.mark.parametrize("form", FORMATS)
def test_files_are_of_the_format_asked_for(form: Format) -> None:
    assert opened(encode(pictures(1, 8, 8, 3)[0], form)).format == form.upper()


def test_the_same_picture_gives_the_same_bytes() -> None:
    picture = pictures(1, 40, 40, 3)[0]
    assert encode(picture, "png", {"seed": "7"}) == encode(picture.copy(), "png", {"seed": "7"})


def test_png_carries_text_also_beyond_latin_1() -> None:
    text = {"model": "digits@3", "seed": "7", "title": "цифры"}
    assert dict(opened(encode(BLACK_AND_WHITE, "png", text)).info) == text


@pytest.mark.parametrize("form", ["webp", "jpeg"])
def test_formats_encode_up_to_their_side_limit_and_not_beyond(form: Format) -> None:
    side = side_limit(form)
    assert opened(encode(np.zeros((1, side, 1), np.uint8), form)).size == (side, 1)
    with pytest.raises((ValueError, OSError)):
        encode(np.zeros((1, side + 36, 1), np.uint8), form)


def tick(kimg: float, **changes: float | None) -> dict[str, float | None]:
    losses = {"loss_d": 1.3, "loss_d_real": 0.6, "loss_d_fake": 0.7, "loss_g": 0.8}
    return {"kimg": kimg, **losses, "d_real": 0.6, "d_fake": 0.4, **changes}


TICKS: dict[str, list[dict[str, float | None]]] = {
    "none": [],
    "one": [tick(1)],
    "many": [tick(k) for k in range(50)],
    "null": [tick(1), tick(2, loss_d=None, d_real=None), tick(3)],
    "nan": [tick(1), tick(2, loss_g=float("nan"), d_fake=float("inf")), tick(3)],
    "all null": [tick(1, loss_d=None, loss_d_real=None, loss_d_fake=None, loss_g=None, d_real=None, d_fake=None)],
    "incomplete": [{"kimg": 1.0}],
    "scores": [tick(k, d_real=None, d_fake=None) for k in range(5)],
    "minimax": [tick(k, loss_g=-0.6) for k in range(5)],
    "pairs": [tick(k, loss_d_real=None, loss_d_fake=None, d_real=None, d_fake=None) for k in range(5)],
}


@pytest.mark.parametrize("name", TICKS)
def test_loss_charts_are_drawn_whatever_the_ticks_hold(name: str) -> None:
    chart = opened(loss_chart(TICKS[name], "digits: $x_ {"))
    assert (chart.format, chart.size) == ("PNG", (1200, 900))


def texts_of(ticks: list[dict[str, float | None]], monkeypatch: pytest.MonkeyPatch) -> set[str]:
    from matplotlib.figure import Figure
    from matplotlib.text import Text

    drawn: set[str] = set()
    save = Figure.savefig

    def spy(figure: Figure, *args: Any, **options: Any) -> None:
        drawn.update(text.get_text() for text in figure.findobj(Text))
        save(figure, *args, **options)

    monkeypatch.setattr(Figure, "savefig", spy)
    loss_chart(ticks, "digits")
    return drawn


@pytest.mark.parametrize(
    ("name", "references"),
    [("many", {"ln 2", "2 ln 2", "1/2"}), ("minimax", {"ln 2", "2 ln 2", "-ln 2", "1/2"}), ("scores", set())],
)
def test_a_chart_has_reference_lines_only_where_the_loss_has_them(
    name: str, references: set[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    texts = texts_of(TICKS[name], monkeypatch)
    assert texts & {"ln 2", "2 ln 2", "-ln 2", "1/2"} == references
    assert {"digits", "discriminator", "generator", "loss"} <= texts


def test_a_chart_of_nothing_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    assert "nothing reported yet" in texts_of([], monkeypatch)
