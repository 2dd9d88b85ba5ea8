"""`GET /walk` over real HTTP."""

from __future__ import annotations

import io
import socket
from pathlib import Path

import av
import numpy as np
import pytest
from PIL import Image

from app.engine.engine import SamplingEngine
from models.pictures import grid
from tests.fixtures.service import Service, serving
from tests.fixtures.waiting import until


def walked(service: Service, query: str) -> bytes:
    answer = service.client.get(f"/walk?{query}")
    assert answer.status_code == 200, answer.text
    return answer.content


def image_0(service: Service, seed: int, model: str) -> np.ndarray:
    answer = service.client.get(f"/samples?seed={seed}&n=1&model={model}&format=npy")
    return np.load(io.BytesIO(answer.content), allow_pickle=False)[0]  # type: ignore[no-any-return]


def frames_of(animation: bytes) -> np.ndarray:
    """`[frames, H, W, 3]`."""
    image = Image.open(io.BytesIO(animation))
    frames = []
    for index in range(image.n_frames):  # type: ignore[attr-defined]
        image.seek(index)
        frames.append(np.asarray(image.convert("RGB")))
    return np.stack(frames)


def engine_of(service: Service) -> SamplingEngine:
    return service.app.state.atelier.engine  # type: ignore[no-any-return]


def test_a_walk_passes_image_0_of_each_seed_and_closes(shared_service: Service) -> None:
    # GIF keeps grey levels as they are.
    frames = frames_of(walked(shared_service, "seeds=1,2,3&frames=30&format=gif&scale=1&model=digits"))
    assert frames.shape == (30, 28, 28, 3)
    for place, seed in zip((0, 10, 20), (1, 2, 3), strict=True):
        assert np.array_equal(frames[place][..., :1], image_0(shared_service, seed, "digits"))
    steps = np.abs(np.roll(frames, -1, axis=0).astype(int) - frames).mean(axis=(1, 2, 3))
    assert steps.min() > 0
    assert steps[29] < 3 * np.median(steps)


def test_by_default_a_walk_is_a_webp_large_enough_to_watch(shared_service: Service) -> None:
    answer = shared_service.client.get("/walk?seeds=4,5")
    assert answer.headers["Content-Type"] == "image/webp"
    assert answer.headers["X-Atelier-Seed"] == "4,5"
    film = Image.open(io.BytesIO(answer.content))
    assert (film.n_frames, film.size, film.info["loop"]) == (120, (280, 280), 0)  # type: ignore[attr-defined]


def test_an_mp4_shows_every_frame_at_the_requested_speed(shared_service: Service) -> None:
    answer = shared_service.client.get("/walk?seeds=1,2&frames=24&fps=12&format=mp4&scale=4&model=digits")
    assert answer.headers["Content-Type"] == "video/mp4"
    with av.open(io.BytesIO(answer.content), "r") as film:
        stream = film.streams.video[0]
        frames = [frame.to_ndarray(format="gray") for frame in film.decode(stream)]
        assert stream.average_rate == 12
        assert len(frames) == 24
        assert stream.duration is not None
        assert stream.time_base is not None
        assert stream.duration * stream.time_base == 2
    expected = grid(image_0(shared_service, 2, "digits")[None], scale=4)[..., 0]
    assert np.abs(frames[12].astype(int) - expected).mean() < 4


def test_the_same_walk_has_the_same_bytes_and_tag_after_a_restart(tmp_path: Path, model_root: Path) -> None:
    urls = [f"/walk?seeds=1,2,3&frames=40&format={form}&model=petals@1" for form in ("webp", "gif", "mp4")]
    answers = []
    for _ in range(2):
        with serving(tmp_path, model_dir=model_root) as service:
            answers.append([service.client.get(url) for url in urls])
            for url, answer in zip(urls, answers[-1], strict=True):
                known = service.client.get(url, headers={"If-None-Match": answer.headers["ETag"]})
                assert (known.status_code, known.content) == (304, b"")
    for first, second in zip(*answers, strict=True):
        assert (first.content, first.headers["ETag"]) == (second.content, second.headers["ETag"])
        assert first.headers["Cache-Control"] == "public, max-age=31536000, immutable"


def test_the_same_choices_have_the_same_tag_however_they_are_written(shared_service: Service) -> None:
    urls = ["/walk?seeds=1,2", "/walk?seeds=1&seeds=2", "/walk?seeds=01,2&frames=120&fps=30&psi=1&scale=10&format=webp"]
    assert len({shared_service.client.head(url).headers["ETag"] for url in urls}) == 1


def test_another_walk_has_another_tag(shared_service: Service) -> None:
    others = ("", "&frames=60", "&fps=20", "&psi=0.5", "&scale=2", "&format=gif", "&format=mp4", "&model=petals")
    urls = ["/walk?seeds=1,2,3" + other for other in others] + ["/walk?seeds=1,3,2"]
    assert len({shared_service.client.head(url).headers["ETag"] for url in urls}) == len(urls)


@pytest.mark.parametrize(
    ("accept", "media_type"), [("image/*", "image/webp"), ("image/gif", "image/gif"), ("video/*", "video/mp4")]
)
def test_accept_decides_where_no_format_is_named(shared_service: Service, accept: str, media_type: str) -> None:
    answer = shared_service.client.get("/walk?seeds=1,2&frames=2&scale=1", headers={"Accept": accept})
    assert (answer.status_code, answer.headers["Content-Type"]) == (200, media_type)


@pytest.mark.parametrize("film_format", ["webp", "gif", "mp4"])
def test_a_client_that_leaves_ends_generating_and_encoding(tmp_path: Path, model_root: Path, film_format: str) -> None:
    with serving(tmp_path, model_dir=model_root, max_pixels=4096 * 448**2) as service:
        engine = engine_of(service)
        host, port = service.url.removeprefix("http://").split(":")
        with socket.create_connection((host, int(port))) as client:
            request = (
                f"GET /walk?seeds=1,2&frames=4096&scale=16&format={film_format} HTTP/1.1\r\nHost: {host}:{port}\r\n\r\n"
            )
            client.sendall(request.encode())
            until(lambda: engine.admission.bytes > 0, "the walk to begin")
        until(lambda: engine.admission.bytes == 0 and engine.threads.seconds_ahead() == 0, "the walk to end")
        assert service.client.get("/samples?n=1").status_code == 200


@pytest.mark.parametrize(
    ("query", "parameter", "says"),
    [
        ("", "seeds", "Field required"),
        ("seeds=1", "seeds", "at least 2 items"),
        (f"seeds={','.join(['1'] * 65)}", "seeds", "at most 64 items"),
        ("seeds=1,2,3&frames=2", "frames", "3 seeds take at least 3 frames"),
        ("seeds=1,2&frames=4097", "frames", "at most 4096 at once"),
        ("seeds=1,2&frames=1000", "frames", "at most 816 fit, or lower scale, which is 10 here"),
        ("seeds=1,2&frames=1", "frames", "greater than or equal to 2"),
        ("seeds=1,2&fps=0", "fps", "greater than or equal to 1"),
        ("seeds=1,2&fps=61", "fps", "less than or equal to 60"),
        ("seeds=1,2&fps=inf", "fps", "less than or equal to 60"),
        ("seeds=1,2&fps=nan", "fps", ""),
        ("seeds=1,2&format=png", "format", "'webp', 'gif' or 'mp4'"),
        ("seeds=1,2&class=0", "class", "digits@1 is not conditional"),
        ("seeds=1,2&rows=2", "rows", "no parameter"),
    ],
)
def test_what_cannot_be_walked_is_refused_with_422(
    shared_service: Service, query: str, parameter: str, says: str
) -> None:
    answer = shared_service.client.get(f"/walk?{query}")
    assert answer.status_code == 422, answer.text
    (error,) = answer.json()["errors"]
    assert error["loc"] == ["query", parameter]
    assert says in error["msg"]


def test_the_largest_number_of_frames_that_is_named_is_answered(tmp_path: Path, model_root: Path) -> None:
    with serving(tmp_path, model_dir=model_root, max_pixels=20 * 280**2) as service:
        refusal = service.client.get("/walk?seeds=1,2&frames=21").json()["errors"][0]["msg"]
        assert "at most 20 fit" in refusal
        assert len(frames_of(walked(service, "seeds=1,2&frames=20"))) == 20
