"""MP4 video (H.264) by PyAV."""

from __future__ import annotations

import struct
from fractions import Fraction
from typing import Final

import av
import numpy as np
from av.video.frame import VideoFrame
from av.video.reformatter import ColorPrimaries, ColorRange, Colorspace, ColorTrc
from av.video.stream import VideoStream

from models.pictures.grids import Pixels

# Every browser plays H.264 with halved chroma. VP9 and AV1 files are half as large, but Safari plays them in MP4 on
# recent devices only; PyAV's wheels have no H.264 encoder under a permissive licence.
_CODEC: Final = "libx264"
_PIXELS = "yuv420p"
# No look-ahead and no reordering: three frames in memory instead of forty, and each is written as it comes. Medium
# takes three times as long as veryfast for 15 % fewer bytes. 28 px digits, enlarged to 280: 0.7 ms a frame, 49 dB;
# 652 px colour: 9 ms. One thread: with several, the bytes depend on their number.
_OPTIONS = {"preset": "veryfast", "tune": "zerolatency", "crf": "18"}
# Fragments, so that the beginning can be sent and played before the end exists; an ordinary index needs every frame.
_CONTAINER = {"movflags": "frag_keyframe+empty_moov+default_base_moof", "fflags": "+bitexact"}


class _Buffer:
    """A file for the muxer to write into."""

    def __init__(self) -> None:
        self._written = bytearray()

    def write(self, data: bytes) -> int:
        self._written += data
        return len(data)

    def take(self) -> bytes:
        data = bytes(self._written)
        self._written.clear()
        return data


class Mp4Encoder:
    """An encoder of fragments of one second each; odd sides grow by one pixel."""

    def __init__(self, fps: float, frames: int) -> None:
        self._rate = Fraction(fps).limit_denominator(1001)
        self._seconds = frames / self._rate
        self._buffer = _Buffer()
        self._output = av.open(self._buffer, "w", format="mp4", container_options=_CONTAINER)
        self._stream = self._output.add_stream(_CODEC, self._rate, dict(_OPTIONS))
        self._count = 0

    def add(self, frame: Pixels) -> bytes:
        """Encode a frame; return the header with the first one, and each fragment when complete."""
        first = self._count == 0
        if first:
            _configure(self._stream, frame, self._rate)
        # Chroma has half the resolution: both sides must be even.
        video_frame = _to_video_frame(frame)
        video_frame.pts, video_frame.time_base = self._count, 1 / self._rate
        self._count += 1
        self._output.mux(self._stream.encode(video_frame))
        data = self._buffer.take()
        return _with_duration(data, self._seconds) if first else data

    def end(self) -> bytes:
        self._output.mux(self._stream.encode())
        self._output.close()
        return self._buffer.take()


def _configure(stream: VideoStream, frame: Pixels, rate: Fraction) -> None:
    height, width, _ = frame.shape
    stream.width, stream.height, stream.pix_fmt = width + width % 2, height + height % 2, _PIXELS
    context = stream.codec_context
    context.time_base = 1 / rate
    context.gop_size = max(1, round(rate))
    context.thread_count = 1
    # Untagged, players guess the matrix from the size.
    context.colorspace, context.color_range = Colorspace.ITU709, ColorRange.MPEG
    context.color_primaries, context.color_trc = ColorPrimaries.BT709, ColorTrc.BT709


def _to_video_frame(frame: Pixels) -> VideoFrame:
    height, width, channels = frame.shape
    if height % 2 or width % 2:
        frame = np.pad(frame, ((0, height % 2), (0, width % 2), (0, 0)), mode="edge")
    if channels == 1:
        # Straight from grey: a conversion by way of RGB would tint it.
        return VideoFrame.from_ndarray(frame[..., 0], "gray").reformat(format=_PIXELS, threads=1)
    return VideoFrame.from_ndarray(frame, "rgb24").reformat(
        format=_PIXELS, dst_colorspace=Colorspace.ITU709, dst_color_range=ColorRange.MPEG, threads=1
    )


def _with_duration(beginning: bytes, seconds: Fraction) -> bytes:
    """Write the duration into the header (mehd: ISO/IEC 14496-12, section 8.8.2)."""
    # The muxer does not know the duration yet and has written 0. FFmpeg, and so Chromium, reads it from mdhd.
    data = bytearray(beginning)
    struct.pack_into(">I", data, data.index(b"mdhd") + 20, _timescale_units(seconds, data, b"mdhd"))
    extends = struct.pack(">I4sII", 16, b"mehd", 0, _timescale_units(seconds, data, b"mvhd"))
    for box in (b"moov", b"mvex"):
        start = data.index(box) - 4
        struct.pack_into(">I", data, start, struct.unpack_from(">I", data, start)[0] + len(extends))
    inside = data.index(b"mvex") + 4
    data[inside:inside] = extends
    return bytes(data)


def _timescale_units(seconds: Fraction, data: bytearray, box: bytes) -> int:
    """Convert to the time scale of a box; at most all ones, which means an unknown duration (section 8.2.2.3)."""
    per_second: int = struct.unpack_from(">I", data, data.index(box) + 16)[0]
    return min(round(seconds * per_second), 2**32 - 1)
