from __future__ import annotations

import io
import struct
import subprocess
import sys
from collections.abc import Iterable, Iterator
from typing import Any

import av
import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from models.pictures import Animation, AnimationFormat, Pixels, animation_encoder

FORMATS: tuple[AnimationFormat, ...] = ("webp", "gif", "mp4")


def noise(n: int, height: int, width: int, channels: int) -> Pixels:
    return np.random.default_rng(0).integers(0, 256, (n, height, width, channels), np.uint8)


def ramp() -> Pixels:
    y, x = np.mgrid[0:64, 0:64]
    return np.stack([x * 4, y * 4, 255 - x * 2], axis=-1).astype(np.uint8)


def animated(frames: Iterable[Pixels], form: AnimationFormat, fps: float = 10, count: int | None = None) -> bytes:
    frames = list(frames) if count is None else frames
    animation = Animation(form, fps, len(list(frames)) if count is None else count)
    return b"".join(animation.add(frame) for frame in frames) + animation.end()


def opened(data: bytes) -> Any:
    return Image.open(io.BytesIO(data))


def decode_video(data: bytes) -> tuple[Any, list[NDArray[Any]]]:
    """Return the stream of an MP4 and its frames, RGB."""
    with av.open(io.BytesIO(data), "r") as container:
        stream = container.streams.video[0]
        return stream, [frame.to_ndarray(format="rgb24") for frame in container.decode(stream)]


def decode(data: bytes, form: AnimationFormat) -> list[NDArray[np.uint8]]:
    if form == "mp4":
        return decode_video(data)[1]
    image = opened(data)
    frames = []
    for index in range(image.n_frames):
        image.seek(index)
        frames.append(np.asarray(image.convert("RGB")))
    return frames


@pytest.mark.parametrize("form", FORMATS)
@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("count", [1, 5])
def test_frames_are_shown_in_order(form: AnimationFormat, channels: int, count: int) -> None:
    levels = range(0, 250, 250 // count)[:count]
    frames = decode(animated([np.full((8, 14, channels), level, np.uint8) for level in levels], form), form)
    assert [frame.shape for frame in frames] == [(8, 14, 3)] * count
    for frame, level in zip(frames, levels, strict=True):
        assert np.abs(frame.astype(int) - level).max() <= 2


@pytest.mark.parametrize("form", FORMATS)
def test_coloured_frames_stay_close_to_what_they_were(form: AnimationFormat) -> None:
    for frame in decode(animated([ramp()] * 2, form), form):
        assert np.sqrt(np.mean((frame.astype(np.float64) - ramp()) ** 2)) < 12


@pytest.mark.parametrize("form", ["webp", "gif"])
def test_animations_loop_for_ever_at_the_speed_asked_for(form: AnimationFormat) -> None:
    image = opened(animated(noise(3, 9, 7, 1), form, fps=12.5))
    assert (image.n_frames, image.size, image.info["loop"]) == (3, (7, 9), 0)
    for index in range(3):
        image.seek(index)
        image.load()
        assert image.info["duration"] == 80


def test_a_grey_gif_is_exact() -> None:
    frames = noise(3, 30, 30, 1)
    for frame, original in zip(decode(animated(frames, "gif"), "gif"), frames, strict=True):
        assert np.array_equal(frame[..., :1], original)


def test_a_gif_never_asks_for_a_delay_that_browsers_slow_down() -> None:
    assert opened(animated(noise(2, 4, 4, 1), "gif", fps=1000)).info["duration"] == 20


def test_a_video_plays_in_every_browser_and_states_its_duration() -> None:
    data = animated(noise(75, 16, 16, 3), "mp4", fps=12.5)
    stream, frames = decode_video(data)
    assert (stream.codec_context.name, stream.codec_context.pix_fmt) == ("h264", "yuv420p")
    assert (stream.average_rate, len(frames)) == (12.5, 75)
    assert stream.duration * stream.time_base == 6
    ticks, seconds = struct.unpack_from(">II", data, data.index(b"mdhd") + 16)
    assert seconds / ticks == 6
    assert struct.unpack_from(">I", data, data.index(b"mehd") + 8)[0] == 6000


def test_a_video_too_long_for_its_header_has_an_unknown_duration() -> None:
    beginning = Animation("mp4", 0.1, 10**9).add(noise(1, 16, 16, 1)[0])
    assert struct.unpack_from(">I", beginning, beginning.index(b"mehd") + 8)[0] == 2**32 - 1


def test_a_grey_video_stays_grey() -> None:
    with av.open(io.BytesIO(animated([ramp()[..., :1]] * 5, "mp4")), "r") as container:
        for frame in container.decode(video=0):
            _, chroma = np.split(frame.to_ndarray(), [frame.height])
            assert (chroma == 128).all()


def test_odd_sides_of_a_video_grow_by_one() -> None:
    _, frames = decode_video(animated(np.full((2, 9, 15, 3), 200, np.uint8), "mp4"))
    assert frames[0].shape == (10, 16, 3)
    assert np.abs(frames[0].astype(int) - 200).max() <= 2


@pytest.mark.parametrize("form", FORMATS)
def test_the_same_frames_give_the_same_bytes(form: AnimationFormat) -> None:
    frames = [np.roll(ramp(), shift, axis=1) for shift in range(24)]
    assert animated(frames, form) == animated([frame.copy() for frame in frames], form)


@pytest.mark.parametrize("form", ["gif", "mp4"])
def test_what_is_final_can_leave_before_the_end(form: AnimationFormat) -> None:
    animation = Animation(form, 5, 20)
    pieces = [animation.add(frame) for frame in noise(20, 16, 16, 1)]
    assert pieces[0]
    assert sum(map(bool, pieces[1:])) >= 3
    partly = b"".join(pieces[:12])
    assert np.array_equal(
        decode(partly + b";", "gif")[0] if form == "gif" else decode_video(partly)[1][0],
        decode(b"".join(pieces) + animation.end(), form)[0],
    )


@pytest.mark.parametrize("form", FORMATS)
def test_frames_are_held_one_at_a_time(form: AnimationFormat) -> None:
    alive: list[int] = []

    class Frame(np.ndarray[Any, Any]):
        def __del__(self) -> None:
            alive.pop()

    most = 0

    def frames() -> Iterator[Pixels]:
        nonlocal most
        for image in noise(12, 8, 8, 3):
            frame = np.array(image).view(Frame)
            alive.append(1)
            most = max(most, len(alive))
            yield frame
            del frame

    animated(frames(), form, count=12)
    assert most <= 4


@pytest.mark.parametrize("form", FORMATS)
def test_frames_must_be_as_many_and_as_large_as_was_said(form: AnimationFormat) -> None:
    with pytest.raises(ValueError, match="at least one frame"):
        Animation(form, 10, 0)
    animation = Animation(form, 10, 3)
    animation.add(np.zeros((4, 4, 1), np.uint8))
    with pytest.raises(ValueError, match="frame 1 is 5x4 px of 1 channels, the first is 4x4 px of 1 channels"):
        animation.add(np.zeros((4, 5, 1), np.uint8))
    with pytest.raises(ValueError, match="3 frames were announced, and 1 were added"):
        animation.end()


@pytest.mark.parametrize("form", FORMATS)
def test_the_encoder_is_named_with_its_release(form: AnimationFormat) -> None:
    assert any(character.isdigit() for character in animation_encoder(form))


def test_ffmpeg_is_not_loaded_before_the_first_video() -> None:
    program = "import sys, models.pictures; sys.exit('av' in sys.modules)"
    subprocess.run([sys.executable, "-c", program], check=True)
