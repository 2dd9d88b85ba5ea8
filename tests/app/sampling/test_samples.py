"""`GET /samples` over real HTTP."""

from __future__ import annotations

import hashlib
import io
import json
import socket
import zipfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx
import numpy as np
import pytest
from PIL import Image

from app.engine.engine import SamplingEngine
from models.pictures import grid
from tests.fixtures.models import TINY_MLP, expected_images, write_version
from tests.fixtures.service import Service, serving
from tests.fixtures.waiting import until


def pixels(answer: httpx.Response) -> np.ndarray:
    assert answer.status_code == 200, answer.text
    picture = np.asarray(Image.open(io.BytesIO(answer.content)))
    return picture[..., None] if picture.ndim == 2 else picture


def images(service: Service, query: str) -> np.ndarray:
    answer = service.client.get(f"/samples?format=npy&{query}")
    assert answer.status_code == 200, answer.text
    generated: np.ndarray = np.load(io.BytesIO(answer.content), allow_pickle=False)
    return generated


def engine_of(service: Service) -> SamplingEngine:
    return service.app.state.atelier.engine  # type: ignore[no-any-return]


def test_by_default_a_grid_of_25_images_of_the_default_model(shared_service: Service) -> None:
    answer = shared_service.client.get("/samples?seed=7")
    picture = pixels(answer)
    assert answer.headers["Content-Type"] == "image/png"
    assert answer.headers["X-Atelier-Model"] == "digits@1"
    assert answer.headers["X-Atelier-Seed"] == "7"
    assert Image.open(io.BytesIO(answer.content)).mode == "L"
    expected = grid(expected_images(TINY_MLP, 1, 7, 25))
    assert picture.shape == expected.shape == (152, 152, 1)
    # Where bfloat16 is faster it may be used, if the mean error stays below half a level.
    assert np.abs(picture.astype(int) - expected).mean() < 0.5


def test_the_first_requests_wait_for_the_model_instead_of_failing(tmp_path: Path, model_root: Path) -> None:
    with serving(tmp_path, model_dir=model_root) as service:
        assert service.client.get("/samples?seed=1").status_code == 200


def test_image_i_of_a_seed_is_the_same_whatever_n_is(shared_service: Service) -> None:
    whole = images(shared_service, "seed=3&n=90&model=petals")
    assert whole.shape == (90, 28, 28, 3)
    for n in (1, 7, 64):
        assert np.array_equal(images(shared_service, f"seed=3&n={n}&model=petals"), whole[:n])
    assert np.array_equal(pixels(shared_service.client.get("/samples?n=9&seed=3&model=petals")), grid(whole[:9]))


def test_many_at_once_get_the_bytes_they_get_alone(tmp_path: Path, model_root: Path) -> None:
    queries = [
        f"/samples?seed={seed}&n={n}&model={model}&format={image_format}"
        for seed, n, model, image_format in [
            (1, 1, "digits", "png"), (1, 200, "digits", "npy"), (2, 25, "petals", "png"), (3, 40, "petals", "zip"),
            (4, 26, "digits", "webp"), (5, 3, "digits@1", "jpeg"), (6, 64, "petals@latest", "npy"),
            (7, 9, "digits", "png"),
        ]
    ]  # fmt: skip
    # Without memory, each is generated again, among others.
    with serving(tmp_path, model_dir=model_root, answer_cache_bytes=0) as service:
        alone = {query: hashlib.sha256(service.client.get(query).content).hexdigest() for query in queries}
        with ThreadPoolExecutor(8) as clients:
            answers = list(clients.map(lambda query: httpx.get(service.url + query, timeout=60), queries * 6))
    assert [hashlib.sha256(answer.content).hexdigest() for answer in answers] == [alone[query] for query in queries * 6]


def test_without_a_seed_one_is_drawn_and_returned(shared_service: Service) -> None:
    first, second = (shared_service.client.get("/samples?n=1") for _ in range(2))
    assert first.headers["X-Atelier-Seed"] != second.headers["X-Atelier-Seed"]
    assert 0 <= int(first.headers["X-Atelier-Seed"]) < 2**63
    assert first.headers["Cache-Control"] == "no-store"
    again = shared_service.client.get(f"/samples?n=1&seed={first.headers['X-Atelier-Seed']}")
    assert again.content == first.content


def test_nrow_and_scale_arrange_the_grid(shared_service: Service) -> None:
    each = images(shared_service, "seed=5&n=6")
    assert np.array_equal(pixels(shared_service.client.get("/samples?seed=5&n=6&nrow=3")), grid(each, 3))
    assert np.array_equal(pixels(shared_service.client.get("/samples?seed=5&n=6&nrow=99")), grid(each, 6))
    assert np.array_equal(pixels(shared_service.client.get("/samples?seed=5&n=6&scale=3")), grid(each, scale=3))
    assert pixels(shared_service.client.get("/samples?n=1")).shape == (28, 28, 1)


def test_psi_one_changes_no_byte_and_zero_is_one_image(shared_service: Service) -> None:
    plain = shared_service.client.get("/samples?seed=5&n=4")
    assert shared_service.client.get("/samples?seed=5&n=4&psi=1").content == plain.content
    mean = images(shared_service, "seed=5&n=4&psi=0")
    assert (mean == mean[0]).all()


def test_webp_is_lossless_and_jpeg_is_a_jpeg(shared_service: Service) -> None:
    each = images(shared_service, "seed=5&n=4&model=petals")
    webp = shared_service.client.get("/samples?seed=5&n=4&model=petals&format=webp")
    assert webp.headers["Content-Type"] == "image/webp"
    assert np.array_equal(pixels(webp), grid(each))
    jpeg = shared_service.client.get("/samples?seed=5&n=4&format=jpeg")
    assert jpeg.headers["Content-Type"] == "image/jpeg"
    assert Image.open(io.BytesIO(jpeg.content)).format == "JPEG"


def test_png_tells_where_it_comes_from(shared_service: Service) -> None:
    text = Image.open(io.BytesIO(shared_service.client.get("/samples?seed=7&n=1").content)).info
    assert text == {"model": "digits", "version": "1", "seed": "7", "first index": "0"}


def test_npy_is_as_long_as_it_says(shared_service: Service) -> None:
    answer = shared_service.client.get("/samples?n=700&format=npy&seed=1")
    assert int(answer.headers["Content-Length"]) == len(answer.content)
    assert np.load(io.BytesIO(answer.content)).shape == (700, 28, 28, 1)


def test_zip_holds_every_image_and_a_list_of_them(shared_service: Service) -> None:
    answer = shared_service.client.get("/samples?n=12&format=zip&seed=9")
    assert answer.headers["Content-Type"] == "application/zip"
    each = images(shared_service, "seed=9&n=12")
    with zipfile.ZipFile(io.BytesIO(answer.content)) as archive:
        assert archive.namelist() == [*(f"{i:04d}.png" for i in range(12)), "index.json"]
        index = json.loads(archive.read("index.json"))
        assert index["model"] == "digits@1"
        assert index["images"][3] == {"file": "0003.png", "seed": 9, "index": 3}
        last = Image.open(io.BytesIO(archive.read("0011.png")))
        assert last.info["first index"] == "11"
        assert np.array_equal(np.asarray(last)[..., None], each[11])
    assert shared_service.client.get("/samples?n=12&format=zip&seed=9").content == answer.content


@pytest.mark.parametrize(
    ("accept", "content_type"),
    [("image/*", "image/png"), ("image/webp", "image/webp"), ("application/zip", "application/zip")],
)
def test_without_format_accept_decides(shared_service: Service, accept: str, content_type: str) -> None:
    answer = shared_service.client.get("/samples?n=1", headers={"Accept": accept})
    assert (answer.status_code, answer.headers["Content-Type"]) == (200, content_type)
    assert answer.headers["Vary"] == "Accept"


def test_nothing_that_is_accepted_is_406_unless_the_format_is_named(shared_service: Service) -> None:
    answer = shared_service.client.get("/samples?n=1", headers={"Accept": "text/html"})
    assert answer.status_code == 406
    assert answer.headers["Content-Type"] == "application/problem+json"
    assert shared_service.client.get("/samples?n=1&format=png", headers={"Accept": "text/html"}).status_code == 200


@pytest.mark.parametrize(
    ("query", "parameter", "says"),
    [
        ("n=0", "n", "greater than or equal to 1"),
        ("n=4097", "n", "at most 4096"),
        ("n=1000000000", "n", "at most 4096"),
        ("n=many", "n", "valid integer"),
        ("seed=soon", "seed", "valid integer"),
        ("seed=-1", "seed", "greater than or equal to 0"),
        (f"seed={2**63}", "seed", "less than or equal to"),
        ("seed=", "seed", "valid integer"),
        ("psi=2.5", "psi", "less than or equal to 2"),
        ("psi=nan", "psi", "finite"),
        ("scale=17", "scale", "less than or equal to 16"),
        ("nrow=0", "nrow", "greater than or equal to 1"),
        ("format=bmp", "format", "'png', 'webp'"),
        ("class=3", "class", "digits@1 is not conditional"),
        ("sed=7", "sed", "no parameter"),
        ("format=npy&nrow=2", "nrow", "format=npy has none"),
        ("format=zip&scale=2", "scale", "format=zip has none"),
        ("n=4096&scale=16", "n", "the largest n is 272"),
        ("n=600&nrow=1&format=webp", "n", "the largest n is 546"),
    ],
)
def test_what_cannot_be_answered_is_refused_with_422(
    shared_service: Service, query: str, parameter: str, says: str
) -> None:
    answer = shared_service.client.get(f"/samples?{query}")
    assert answer.status_code == 422
    assert answer.headers["Content-Type"] == "application/problem+json"
    (error,) = answer.json()["errors"]
    assert error["loc"] == ["query", parameter]
    assert says in error["msg"]


def test_the_largest_n_that_is_named_is_answered_and_one_more_is_not(tmp_path: Path, model_root: Path) -> None:
    with serving(tmp_path, model_dir=model_root, max_pixels=40_000) as service:
        refusal = service.client.get("/samples?n=100").json()["errors"][0]["msg"]
        largest = int(refusal.rsplit(" ", 1)[1])
        assert service.client.get(f"/samples?n={largest}").status_code == 200
        assert service.client.get(f"/samples?n={largest + 1}").status_code == 422
        assert service.client.get("/samples?n=100&format=npy").status_code == 200


@pytest.mark.parametrize("ref", ["nobody", "digits@9", "digits@mine", "digits@", "..%2Fdigits", ""])
def test_a_model_that_is_not_there_is_404(shared_service: Service, ref: str) -> None:
    answer = shared_service.client.get(f"/samples?model={ref}")
    assert answer.status_code == 404
    assert answer.headers["Content-Type"] == "application/problem+json"


def test_a_broken_version_is_409_with_the_reason(service: Service, model_root: Path) -> None:
    write_version(model_root, "digits", 2, weights=b"\x80\x04 a pickle")
    until(lambda: len(service.client.get("/models/digits").json()["versions"]) == 2, "the version to be listed")
    answer = service.client.get("/samples?model=digits@2")
    assert answer.status_code == 409
    assert "pickles are never read" in answer.json()["detail"]
    assert service.client.get("/samples?model=digits").headers["X-Atelier-Model"] == "digits@1"


@pytest.mark.parametrize(
    ("query", "rule"),
    [
        ("seed=1&model=digits@1", "public, max-age=31536000, immutable"),
        ("seed=1&model=digits@latest", "no-cache"),
        ("seed=1", "no-cache"),
        ("model=digits@1", "no-store"),
    ],
)
def test_what_cannot_change_may_be_cached_for_ever(shared_service: Service, query: str, rule: str) -> None:
    answer = shared_service.client.get(f"/samples?n=1&{query}")
    assert answer.headers["Cache-Control"] == rule
    assert answer.headers["ETag"].startswith('"')


@pytest.mark.parametrize("image_format", ["png", "npy", "zip"])
def test_who_has_the_answer_already_gets_304_without_a_forward_pass(service: Service, image_format: str) -> None:
    url = f"/samples?n=4&seed=1&format={image_format}"
    tag = service.client.get(url).headers["ETag"]
    engine_of(service)._batcher.stop()
    for header in (tag, f"W/{tag}", f'"other", {tag}', "*"):
        answer = service.client.get(url, headers={"If-None-Match": header})
        assert (answer.status_code, answer.content) == (304, b"")
        assert answer.headers["ETag"] == tag
        assert answer.headers["X-Atelier-Seed"] == "1"
    other = service.client.get(f"{url}&psi=0.9", headers={"If-None-Match": tag})
    assert other.status_code == 503


def test_another_answer_has_another_tag(service: Service) -> None:
    others = ("seed=2", "n=4", "psi=0.5", "scale=2", "nrow=2", "format=webp", "model=petals")
    queries = ["seed=1", "seed=2", *(f"seed=1&{other}" for other in others[1:])]
    tags = {service.client.head(f"/samples?{query}").headers["ETag"] for query in queries}
    assert len(tags) == len(queries)
    same = ["seed=1&nrow=5", "seed=1&n=25", "seed=1&psi=1.0&scale=1", "seed=1&model=digits@1", "seed=1&format=png"]
    assert {service.client.head(f"/samples?{query}").headers["ETag"] for query in same} == {
        service.client.head("/samples?seed=1").headers["ETag"]
    }


def test_head_sends_the_headers_and_generates_nothing(service: Service) -> None:
    answer = service.client.get("/samples?n=4&seed=1")
    engine_of(service)._batcher.stop()
    head = service.client.head("/samples?n=4&seed=1")
    assert (head.status_code, head.content) == (200, b"")
    for name in ("ETag", "Content-Type", "Cache-Control", "X-Atelier-Model", "X-Atelier-Seed", "Vary"):
        assert head.headers[name] == answer.headers[name]


def test_with_redis_and_database_away_sampling_goes_on(tmp_path: Path, model_root: Path) -> None:
    nowhere = {
        "redis_url": f"unix://{tmp_path}/nobody.sock",
        "database_url": "postgresql://nobody@127.0.0.1:1/nothing?connect_timeout=1",
    }
    with serving(tmp_path, model_dir=model_root, **nowhere) as service:
        assert pixels(service.client.get("/samples?seed=1")).shape == (152, 152, 1)
        assert service.client.get("/models/digits").status_code == 200


def test_a_client_that_leaves_takes_its_images_with_it(service: Service) -> None:
    engine = engine_of(service)
    host, port = service.url.removeprefix("http://").split(":")
    for image_format in ("npy", "png"):
        with socket.create_connection((host, int(port))) as client:
            request = f"GET /samples?n=4096&format={image_format} HTTP/1.1\r\nHost: {host}:{port}\r\n\r\n"
            client.sendall(request.encode())
            until(lambda: engine.admission.bytes > 0, "the request to begin")
        until(lambda: engine.admission.bytes == 0, "the request to be dropped")
    assert service.client.get("/samples?n=1").status_code == 200


def test_overload_is_503_and_says_when_to_return(service: Service, monkeypatch: pytest.MonkeyPatch) -> None:
    engine = engine_of(service)
    monkeypatch.setattr(engine.admission, "seconds_ahead", lambda: service.settings.max_wait_seconds + 20)
    for image_format in ("png", "npy", "zip"):
        answer = service.client.get(f"/samples?format={image_format}")
        assert answer.status_code == 503
        assert int(answer.headers["Retry-After"]) == 27
        assert answer.headers["Content-Type"] == "application/problem+json"


def test_a_new_version_is_served_without_a_restart_and_without_a_failure(service: Service, model_root: Path) -> None:
    refs: list[str] = []

    def ask() -> bool:
        answer = service.client.get("/samples?n=4&model=digits&seed=1")
        assert answer.status_code == 200
        refs.append(answer.headers["X-Atelier-Model"])
        return refs[-1] == "digits@2"

    assert not ask()
    write_version(model_root, "digits", 2, seed=5)
    until(ask, "the new version to serve")
    assert service.client.get("/samples?n=4&model=digits@1&seed=1").headers["X-Atelier-Model"] == "digits@1"
