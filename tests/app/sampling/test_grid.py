"""`GET /grid` over real HTTP."""

from __future__ import annotations

import io
import json
import zipfile
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx
import numpy as np
import pytest
from PIL import Image

from models.pictures import grid
from tests.fixtures.models import TINY_CONDITIONAL, TINY_MLP, write_version
from tests.fixtures.service import Service, serving


@pytest.fixture(scope="module")
def beasts(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    """A service with one conditional model of three classes."""
    folder: Path = tmp_path_factory.mktemp("grids")
    write_version(folder / "models", "beasts", 1, TINY_CONDITIONAL, seed=4)
    with serving(folder, model_dir=folder / "models") as service:
        yield service


def fetched(service: Service, url: str) -> httpx.Response:
    answer = service.client.get(url)
    assert answer.status_code == 200, answer.text
    return answer


def pixels(answer: httpx.Response) -> np.ndarray:
    picture = np.asarray(Image.open(io.BytesIO(answer.content)))
    return picture[..., None] if picture.ndim == 2 else picture


def array(service: Service, url: str) -> np.ndarray:
    array: np.ndarray = np.load(io.BytesIO(fetched(service, f"{url}&format=npy").content), allow_pickle=False)
    return array


def sampled(service: Service, query: str) -> np.ndarray:
    return array(service, f"/samples?{query}")


def test_corners_are_what_samples_generates(shared_service: Service) -> None:
    cells = array(shared_service, "/grid?kind=interpolate&seeds=1,2,3,4&rows=3&cols=5&model=petals")
    assert cells.shape == (15, 28, 28, 3)
    for place, seed in zip((0, 4, 10, 14), (1, 2, 3, 4), strict=True):
        assert np.array_equal(cells[place], sampled(shared_service, f"seed={seed}&n=1&model=petals")[0])
    assert len(np.unique(cells, axis=0)) == 15


def test_two_seeds_give_a_row_per_image(shared_service: Service) -> None:
    cells = array(shared_service, "/grid?kind=interpolate&seeds=1,2&rows=3").reshape(3, 8, 28, 28, 1)
    assert np.array_equal(cells[:, 0], sampled(shared_service, "seed=1&n=3"))
    assert np.array_equal(cells[:, 7], sampled(shared_service, "seed=2&n=3"))


def test_a_picture_holds_the_cells_row_by_row(shared_service: Service) -> None:
    url = "/grid?kind=interpolate&seeds=1,2,3,4&rows=2&cols=3"
    answer = fetched(shared_service, f"{url}&scale=2")
    assert answer.headers["Content-Type"] == "image/png"
    assert answer.headers["X-Atelier-Seed"] == "1,2,3,4"
    assert np.array_equal(pixels(answer), grid(array(shared_service, url), 3, 2))
    text = Image.open(io.BytesIO(answer.content)).info
    assert text == {"model": "digits", "version": "1", "seed": "1,2,3,4", "kind": "interpolate", "first cell": "0,0"}


def test_a_column_of_a_truncation_grid_is_what_samples_generates_at_that_psi(shared_service: Service) -> None:
    cells = array(shared_service, "/grid?kind=truncation&seed=5&rows=3&psi=0,0.5,1,2").reshape(3, 4, 28, 28, 1)
    for column, psi in enumerate(("0", "0.5", "1", "2")):
        assert np.array_equal(cells[:, column], sampled(shared_service, f"seed=5&n=3&psi={psi}"))
    assert (cells[:, 0] == cells[0, 0]).all()


def test_by_default_a_truncation_grid_goes_from_the_mean_image_to_beyond_the_prior(shared_service: Service) -> None:
    cells = array(shared_service, "/grid?kind=truncation&seed=5").reshape(4, 7, 28, 28, 1)
    assert np.array_equal(cells[:, 4], sampled(shared_service, "seed=5&n=4"))


def test_each_class_has_a_row(beasts: Service) -> None:
    cells = array(beasts, "/grid?kind=classes&seed=3&cols=5").reshape(3, 5, 28, 28, 3)
    for label in range(3):
        assert np.array_equal(cells[label], sampled(beasts, f"seed=3&n=5&class={label}"))


def test_a_class_is_the_same_throughout_and_without_one_corners_have_their_own(beasts: Service) -> None:
    of_class = array(beasts, "/grid?kind=interpolate&seeds=1,2&class=class%202")
    assert np.array_equal(of_class[7], sampled(beasts, "seed=2&n=1&class=2")[0])
    assert np.array_equal(
        array(beasts, "/grid?kind=interpolate&seeds=1,2")[[0, 7]],
        np.concatenate([sampled(beasts, f"seed={seed}&n=1") for seed in (1, 2)]),
    )


def test_a_zip_tells_each_images_place_and_class(beasts: Service) -> None:
    answer = fetched(beasts, "/grid?kind=classes&seed=3&cols=2&format=zip")
    with zipfile.ZipFile(io.BytesIO(answer.content)) as archive:
        index = json.loads(archive.read("index.json"))
        first = Image.open(io.BytesIO(archive.read("0003.png"))).info
    assert (index["kind"], index["seeds"], len(index["images"])) == ("classes", [3], 6)
    assert index["images"][3] == {"file": "0003.png", "row": 1, "column": 1, "class": "class 1"}
    assert first["first cell"] == "1,1"


def test_a_seed_that_is_not_named_is_drawn_and_returned(shared_service: Service) -> None:
    drawn = fetched(shared_service, "/grid?kind=truncation")
    assert drawn.headers["Cache-Control"] == "no-store"
    again = fetched(shared_service, f"/grid?kind=truncation&seed={drawn.headers['X-Atelier-Seed']}")
    assert again.content == drawn.content
    assert again.headers["Cache-Control"] == "no-cache"


def test_who_has_the_grid_already_gets_304_and_another_grid_has_another_tag(shared_service: Service) -> None:
    urls = [
        "/grid?kind=interpolate&seeds=1,2&model=digits@1" + more
        for more in ("", "&rows=2", "&cols=4", "&psi=0.5", "&scale=2", "&format=webp")
    ] + ["/grid?kind=interpolate&seeds=2,1&model=digits@1", "/grid?kind=truncation&seed=1&model=digits@1"]
    answers = [fetched(shared_service, url) for url in urls]
    assert len({answer.headers["ETag"] for answer in answers}) == len(urls)
    for url, answer in zip(urls, answers, strict=True):
        assert answer.headers["Cache-Control"] == "public, max-age=31536000, immutable"
        known = shared_service.client.get(url, headers={"If-None-Match": answer.headers["ETag"]})
        assert (known.status_code, known.content) == (304, b"")
        assert shared_service.client.head(url).headers["ETag"] == answer.headers["ETag"]


def test_the_same_choices_have_the_same_tag_however_they_are_written(shared_service: Service) -> None:
    written = [
        ["kind=truncation&seed=1", "kind=truncation&seed=1&rows=4&psi=0,.25,0.5,0.75,1,1.25,1.5&scale=1&format=png"],
        ["kind=interpolate&seeds=1,2", "kind=interpolate&seeds=1,2&rows=1&cols=8&psi=1.0&model=digits@1"],
    ]
    for first, second in written:
        tags = [shared_service.client.head(f"/grid?{query}").headers["ETag"] for query in (first, second)]
        assert tags[0] == tags[1]


def test_under_load_grids_and_walks_have_the_bytes_that_they_have_alone(tmp_path: Path, model_root: Path) -> None:
    urls = [
        "/grid?kind=interpolate&seeds=1,2,3,4&rows=3&cols=40&format=npy",
        "/grid?kind=interpolate&seeds=1,2&rows=2&cols=5&model=petals",
        "/grid?kind=truncation&seed=5&rows=9&model=petals",
        "/walk?seeds=1,2,3&frames=100&format=gif&scale=2",
        "/walk?seeds=1,2,3&frames=50&format=mp4&scale=2&model=petals",
        "/walk?seeds=3,4&frames=20&scale=1",
    ]
    # Without a cache, so that everything is generated each time; concurrent requests for one body still share it.
    with serving(tmp_path, model_dir=model_root, answer_cache_bytes=0) as service:
        alone = {url: fetched(service, url).content for url in urls}
        loud = [each for seed in range(3) for url in urls for each in (url, f"/samples?n={20 + seed}&seed={seed}")]
        with ThreadPoolExecutor(12) as clients:
            answers = list(clients.map(lambda url: httpx.get(service.url + url, timeout=60), loud))
    assert {answer.status_code for answer in answers} == {200}
    for url, answer in zip(loud, answers, strict=True):
        assert url not in alone or answer.content == alone[url]


@pytest.mark.parametrize(
    ("query", "parameter", "says"),
    [
        ("", "kind", "Field required"),
        ("kind=circle", "kind", "'interpolate', 'classes' or 'truncation'"),
        ("kind=interpolate", "seeds", "2 or 4 seeds, not 0"),
        ("kind=interpolate&seeds=1,2,3", "seeds", "2 or 4 seeds, not 3"),
        ("kind=interpolate&seeds=1,2&seed=3", "seed", "means nothing for kind=interpolate"),
        ("kind=interpolate&seeds=1,2&cols=1", "cols", "at least 2"),
        ("kind=interpolate&seeds=1,2,3,4&rows=1", "rows", "at least 2"),
        ("kind=interpolate&seeds=1,2&psi=0,1", "psi", "only kind=truncation takes several"),
        ("kind=interpolate&seeds=1,2&nrow=3", "nrow", "no parameter"),
        ("kind=interpolate&seeds=1,2&class=1", "class", "digits@1 is not conditional"),
        ("kind=interpolate&seeds=1,2&rows=600", "cols", "600 rows of 8 images are more than 4096 at once"),
        ("kind=interpolate&seeds=1,2&rows=64&cols=64&scale=16", "cols", "lower rows or cols or scale"),
        ("kind=interpolate&seeds=1,2&format=npy&scale=2", "scale", "format=npy has none"),
        ("kind=classes", "kind", "digits@1 is not conditional"),
        ("kind=classes&rows=2", "rows", "means nothing for kind=classes"),
        ("kind=classes&class=2", "class", "means nothing for kind=classes"),
        ("kind=truncation&cols=2", "cols", "means nothing for kind=truncation"),
        ("kind=truncation&seeds=1,2", "seeds", "means nothing for kind=truncation"),
        ("kind=truncation&rows=586", "rows", "586 rows of 7 images are more than 4096 at once"),
        ("kind=truncation&rows=10000000000000000000", "rows", "less than or equal to"),
    ],
)
def test_what_cannot_be_laid_out_is_refused_with_422(
    shared_service: Service, query: str, parameter: str, says: str
) -> None:
    answer = shared_service.client.get(f"/grid?{query}")
    assert answer.status_code == 422, answer.text
    (error,) = answer.json()["errors"]
    assert error["loc"] == ["query", parameter]
    assert says in error["msg"]


@pytest.mark.parametrize("query", ["seeds=1,x", "seeds=1,", "seeds=1,-2", "psi=0.5,3", "psi=nan", "psi="])
def test_every_part_of_a_list_is_checked(shared_service: Service, query: str) -> None:
    kind = "interpolate" if query.startswith("seeds") else "truncation"
    answer = shared_service.client.get(f"/grid?kind={kind}&{query}")
    assert answer.status_code == 422
    assert answer.json()["errors"][0]["loc"][:2] == ["query", query.partition("=")[0]]


def test_accept_decides_where_no_format_is_named(shared_service: Service) -> None:
    url = "/grid?kind=interpolate&seeds=1,2"
    answer = shared_service.client.get(url, headers={"Accept": "image/webp"})
    assert (answer.status_code, answer.headers["Content-Type"]) == (200, "image/webp")
    assert shared_service.client.get(url, headers={"Accept": "text/html"}).status_code == 406


def test_uniform_priors_have_corners_too(tmp_path: Path) -> None:
    uniform = TINY_MLP.model_copy(update={"latent": TINY_MLP.latent.model_copy(update={"prior": "uniform"})})
    write_version(tmp_path / "models", "cubes", 1, uniform)
    with serving(tmp_path, model_dir=tmp_path / "models") as service:
        cells = array(service, "/grid?kind=interpolate&seeds=1,2&cols=6")
        assert np.array_equal(cells[5], sampled(service, "seed=2&n=1")[0])
        assert len(np.unique(cells, axis=0)) == 6
