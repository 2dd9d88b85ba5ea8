"""MP4 films by PyAV, which brings FFmpeg; importing this loads it."""

from __future__ import annotations

import struct
from fractions import Fraction
from typing import Final

import av
import numpy as np
from av.video.frame import VideoFrame
from av.video.reformatter import ColorPrimaries, ColorRange, Colorspace, ColorTrc
from av.video.stream import VideoStream

from models.pictures.pixels import Pixels

# H.264 with halved chroma is what every browser plays. VP9 and AV1 files are half as large, but Safari plays them in
# MP4 on recent devices only; the H.264 encoders under a permissive licence are not in PyAV's wheels.
_CODEC: Final = "libx264"
_PIXELS = "yuv420p"
# No look-ahead and no reordering: three frames in memory instead of forty, and each leaves when it comes. Medium takes
# three times as long as veryfast for 15 % fewer bytes. 28 px digits, enlarged to 280: 0.7 ms a frame, 49 dB; 652 px
# colour: 9 ms. One thread: with several, the bytes depend on their number.
_OPTIONS = {"preset": "veryfast", "tune": "zerolatency", "crf": "18"}
# Fragments, so that the beginning can leave, and play, before the end is there; an ordinary file's index needs it all.
_CONTAINER = {"movflags": "frag_keyframe+empty_moov+default_base_moof", "fflags": "+bitexact"}


class _Pipe:
    """What the muxer writes into."""

    def __init__(self) -> None:
        self._written = bytearray()

    def write(self, data: bytes) -> int:
        self._written += data
        return len(data)

    def take(self) -> bytes:
        """Hand on what is there."""
        data = bytes(self._written)
        self._written.clear()
        return data


class Mp4:
    """Frames to fragments of a second each; odd sides grow by one, as halved chroma asks for."""

    def __init__(self, fps: float, frames: int) -> None:
        self._rate = Fraction(fps).limit_denominator(1001)
        self._seconds = frames / self._rate
        self._pipe = _Pipe()
        self._output = av.open(self._pipe, "w", format="mp4", container_options=_CONTAINER)
        self._stream = self._output.add_stream(_CODEC, self._rate, dict(_OPTIONS))
        self._count = 0

    def add(self, frame: Pixels) -> bytes:
        """Encode a frame; gives the file's beginning with the first, and a fragment whenever one is complete."""
        first = self._count == 0
        if first:
            _prepare(self._stream, frame, self._rate)
        picture = _picture(frame)
        picture.pts, picture.time_base = self._count, 1 / self._rate
        self._count += 1
        self._output.mux(self._stream.encode(picture))
        data = self._pipe.take()
        return _lasting(data, self._seconds) if first else data

    def end(self) -> bytes:
        """Give the last fragment."""
        self._output.mux(self._stream.encode())
        self._output.close()
        return self._pipe.take()


def _prepare(stream: VideoStream, frame: Pixels, rate: Fraction) -> None:
    height, width, _ = frame.shape
    stream.width, stream.height, stream.pix_fmt = width + width % 2, height + height % 2, _PIXELS
    context = stream.codec_context
    context.time_base = 1 / rate
    context.gop_size = max(1, round(rate))
    context.thread_count = 1
    # Untagged, players guess the matrix from the size.
    context.colorspace, context.color_range = Colorspace.ITU709, ColorRange.MPEG
    context.color_primaries, context.color_trc = ColorPrimaries.BT709, ColorTrc.BT709


def _picture(frame: Pixels) -> VideoFrame:
    height, width, channels = frame.shape
    if height % 2 or width % 2:
        frame = np.pad(frame, ((0, height % 2), (0, width % 2), (0, 0)), mode="edge")
    if channels == 1:
        # No matrix: FFmpeg would take a way over RGB that tints.
        return VideoFrame.from_ndarray(frame[..., 0], "gray").reformat(format=_PIXELS, threads=1)
    return VideoFrame.from_ndarray(frame, "rgb24").reformat(
        format=_PIXELS, dst_colorspace=Colorspace.ITU709, dst_color_range=ColorRange.MPEG, threads=1
    )


def _lasting(beginning: bytes, seconds: Fraction) -> bytes:
    """Tell how long a film will be where its beginning says 0, since the muxer cannot know.

    The standard has the box mehd for it (ISO/IEC 14496-12, section 8.8.2); FFmpeg, and so Chromium, reads mdhd.
    """
    data = bytearray(beginning)
    struct.pack_into(">I", data, data.index(b"mdhd") + 20, _ticks(seconds, data, b"mdhd"))
    extends = struct.pack(">I4sII", 16, b"mehd", 0, _ticks(seconds, data, b"mvhd"))
    for box in (b"moov", b"mvex"):
        start = data.index(box) - 4
        struct.pack_into(">I", data, start, struct.unpack_from(">I", data, start)[0] + len(extends))
    inside = data.index(b"mvex") + 4
    data[inside:inside] = extends
    return bytes(data)


def _ticks(seconds: Fraction, data: bytearray, box: bytes) -> int:
    """Count by the clock of a header, up to all ones: a length that is not known (section 8.2.2.3)."""
    per_second: int = struct.unpack_from(">I", data, data.index(box) + 16)[0]
    return min(round(seconds * per_second), 2**32 - 1)
