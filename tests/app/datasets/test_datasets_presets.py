import threading
import time
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
import uvicorn

from app.main import create_app
from app.settings import AppSettings
from models.config import presets
from models.datasets.catalogue import BUILTIN


@pytest.fixture(scope="module")
def data_dir(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("data")


@pytest.fixture(scope="module")
def client(data_dir: Path) -> Iterator[httpx.Client]:
    """A real server whose house is not started: these routes need nothing that starts."""
    app = create_app(AppSettings(data_dir=data_dir))
    app.state.atelier.records.migrate()
    server = uvicorn.Server(uvicorn.Config(app, port=0, lifespan="off", log_level="warning"))
    thread = threading.Thread(target=server.run)
    thread.start()
    deadline = time.monotonic() + 20
    while not server.started:
        assert time.monotonic() < deadline, "the server did not start"
        time.sleep(0.01)
    port = server.servers[0].sockets[0].getsockname()[1]
    with httpx.Client(base_url=f"http://127.0.0.1:{port}") as client:
        yield client
    server.should_exit = True
    thread.join()
    app.state.atelier.records.close()


def test_every_built_in_set_is_listed(client: httpx.Client) -> None:
    answer = client.get("/datasets")
    assert answer.status_code == 200
    assert [item["name"] for item in answer.json()["items"]] == sorted(BUILTIN)
    assert answer.json()["next"] is None


def test_one_set_is_described(client: httpx.Client) -> None:
    mini = client.get("/datasets/mnist-mini").json()
    assert mini["state"] == "ready"
    assert (mini["count"], mini["size"], mini["channels"], mini["findings"]) == (6000, 28, 1, [])
    assert mini["classes"] == list("0123456789")
    assert "CC BY-SA 3.0" in mini["licence"]


def test_set_is_remote_until_its_files_are_here(client: httpx.Client, data_dir: Path) -> None:
    assert client.get("/datasets/mnist").json()["state"] == "remote"
    raw = data_dir / "datasets/mnist/MNIST/raw"
    raw.mkdir(parents=True)
    (raw / "train-images-idx3-ubyte.gz").touch()
    assert client.get("/datasets/mnist").json()["state"] == "ready"


def test_presets_are_listed_and_shown_whole(client: httpx.Client) -> None:
    listed = client.get("/presets").json()["items"]
    assert [item["name"] for item in listed] == ["auto", *sorted(presets.load())]
    shown = client.get("/presets/mlp-mnist").json()
    assert shown in listed
    assert shown["training"]["batch_size"] == 100


@pytest.mark.parametrize("path", ["/datasets", "/presets"])
def test_pages_join_to_the_whole_list(path: str, client: httpx.Client) -> None:
    names: list[str] = []
    cursor: dict[str, str] = {}
    while True:
        page = client.get(path, params={"limit": 2, **cursor}).json()
        assert 0 < len(page["items"]) <= 2
        names += [item["name"] for item in page["items"]]
        if page["next"] is None:
            break
        cursor = {"cursor": page["next"]}
    assert names == [item["name"] for item in client.get(path).json()["items"]]


@pytest.mark.parametrize("path", ["/datasets", "/presets"])
def test_cursor_past_the_end_gives_an_empty_page(path: str, client: httpx.Client) -> None:
    assert client.get(path, params={"cursor": "zzz"}).json() == {"items": [], "next": None}


@pytest.mark.parametrize("path", ["/datasets/minst", "/presets/mlp"])
def test_unknown_name_is_a_404_problem_that_names_the_known_ones(path: str, client: httpx.Client) -> None:
    answer = client.get(path)
    assert answer.status_code == 404
    assert answer.headers["content-type"] == "application/problem+json"
    assert "mnist" in answer.json()["detail"]


@pytest.mark.parametrize("path", ["/datasets", "/presets"])
@pytest.mark.parametrize("query", ["limit=0", "limit=201", "limit=x", "cursor=../x", "cursor=", "limits=2"])
def test_bad_query_is_refused_with_422(path: str, query: str, client: httpx.Client) -> None:
    answer = client.get(f"{path}?{query}")
    assert answer.status_code == 422
    assert answer.json()["errors"][0]["loc"][0] == "query"


@pytest.mark.parametrize("path", ["/datasets/mnist", "/presets/mlp-mnist"])
def test_query_where_there_is_none_is_refused_with_422(path: str, client: httpx.Client) -> None:
    assert client.get(path, params={"verbose": "1"}).status_code == 422
