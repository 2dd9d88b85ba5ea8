"""`/models` over real HTTP."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

import pytest
import torch

from models.config.networks import GeneratorConfig
from models.scores import Score
from models.store.local import STARTER_FOLDER
from models.store.manifest import MANIFEST, NEIGHBOURS, PREVIEW, WEIGHTS
from models.store.weights import generator_bytes, load_generator
from tests.fixtures.models import TINY_MLP, swap_weights, tiny_generator, write_version
from tests.fixtures.service import Service
from tests.fixtures.versions import put_version
from tests.fixtures.waiting import until


def wait_for_versions(service: Service, model: str, versions: int) -> None:
    until(lambda: len(service.client.get(f"/models/{model}").json().get("versions", ())) == versions, "a scan")


def test_models_are_listed_in_pages_in_the_order_of_their_names(shared_service: Service) -> None:
    names: list[str] = []
    cursor = ""
    while True:
        body = shared_service.client.get(f"/models?limit=1{cursor}").json()
        names += [item["name"] for item in body["items"]]
        if body["next"] is None:
            break
        cursor = f"&cursor={body['next']}"
    assert names == sorted(names)
    assert {"digits", "petals"} <= set(names)


def test_a_model_shows_its_versions_states_aliases_and_scores(service: Service, model_root: Path) -> None:
    score = Score(value=12.5, protocol="tiny features")
    write_version(model_root, "digits", 2, scores={"distance": score})
    half = write_version(model_root, "digits", 3)
    swap_weights(half, b"half")
    wait_for_versions(service, "digits", 3)
    body = service.client.get("/models/digits").json()
    assert body["aliases"] == {"latest": 2}
    assert body["read_only"] is False
    assert [(v["ref"], v["state"]) for v in body["versions"]] == [
        ("digits@1", "whole"),
        ("digits@2", "whole"),
        ("digits@3", "arriving"),
    ]
    assert body["versions"][1]["scores"] == {"distance": score.model_dump()}
    assert WEIGHTS in body["versions"][2]["reason"]


def test_a_manifest_and_its_files_rebuild_the_generator(shared_service: Service) -> None:
    manifest = shared_service.client.get("/models/digits@latest").json()
    assert (manifest["model"], manifest["version"]) == ("digits", 1)
    answer = shared_service.client.get("/models/digits@1/generator.safetensors")
    assert hashlib.sha256(answer.content).hexdigest() == manifest["files"][WEIGHTS]["sha256"]
    generator = load_generator(answer.content, GeneratorConfig.model_validate(manifest["generator"]))
    assert generator(torch.zeros(1, TINY_MLP.latent.dim)).shape == (1, 1, 28, 28)


def test_a_manifest_of_format_1_is_answered_as_it_is(shared_service: Service) -> None:
    stored = json.loads((STARTER_FOLDER / "2" / MANIFEST).read_bytes())
    assert stored["format"] == 1
    answered = shared_service.client.get("/models/starter@2").json()
    assert answered == stored
    assert list(answered) == list(stored)


def test_a_manifest_of_format_2_also_has_what_format_1_has(shared_service: Service, model_root: Path) -> None:
    manifest = shared_service.client.get("/models/digits@1").json()
    assert (manifest["format"], manifest["task"]) == (2, "sample")
    (entry,) = manifest["generators"].values()
    assert entry["config"] == manifest["generator"]
    assert entry["inputs"] == {"z": {"kind": "latent", "dim": 16, "prior": "normal"}}
    assert entry["output"] == {"kind": "fixed", "height": 28, "width": 28, "channels": 1}


@pytest.mark.parametrize(
    ("wanted", "status", "part"),
    [
        ("bytes=0-3", 206, slice(0, 4)),
        ("bytes=10-", 206, slice(10, None)),
        ("bytes=-5", 206, slice(-5, None)),
        ("bytes=2-99999999", 206, slice(2, None)),
        ("bytes=0-1,4-5", 200, slice(None)),
        ("pages=1", 200, slice(None)),
        ("bytes=99999999-", 416, slice(0)),
    ],
)
def test_weights_are_sent_in_parts_on_request(shared_service: Service, wanted: str, status: int, part: slice) -> None:
    address = "/models/digits@1/generator.safetensors"
    whole = shared_service.client.get(address)
    assert int(whole.headers["Content-Length"]) == len(whole.content)
    answer = shared_service.client.get(address, headers={"Range": wanted})
    assert (answer.status_code, answer.content) == (status, whole.content[part])
    fresh = shared_service.client.get(address, headers={"Range": wanted, "If-Range": '"of another version"'})
    assert (fresh.status_code, fresh.content) == (200, whole.content)


def test_a_preview_is_a_picture_that_may_be_kept(shared_service: Service) -> None:
    answer = shared_service.client.get("/models/digits@1/preview.png")
    assert answer.headers["Content-Type"] == "image/png"
    assert answer.content.startswith(b"\x89PNG")
    assert "immutable" in answer.headers["Cache-Control"]
    again = shared_service.client.get("/models/digits@1/preview.png", headers={"If-None-Match": answer.headers["ETag"]})
    assert again.status_code == 304
    assert shared_service.client.get("/models/digits@latest/preview.png").headers["Cache-Control"] == "no-cache"


def test_damaged_weights_are_not_sent(service: Service, model_root: Path) -> None:
    weights = model_root / "petals" / "1" / WEIGHTS
    swap_weights(weights.parent, bytes(weights.stat().st_size))
    answer = service.client.get("/models/petals@1/generator.safetensors")
    assert answer.status_code == 409
    assert "sha256" in answer.json()["detail"]


@pytest.mark.parametrize(
    "path",
    ["/models/nobody", "/models/nobody@1", "/models/digits@9", "/models/digits@mine", "/models/nobody@1/preview.png",
     "/models/digits@9/generator.safetensors", "/models/digits@1/other.png", "/models/digits@1/manifest.json"],
)  # fmt: skip
def test_what_is_not_there_is_404(shared_service: Service, path: str) -> None:
    answer = shared_service.client.get(path)
    assert answer.status_code == 404
    assert answer.headers["Content-Type"] == "application/problem+json"


def test_an_alias_is_pointed_served_moved_and_deleted(service: Service, model_root: Path) -> None:
    write_version(model_root, "digits", 2, seed=5)
    wait_for_versions(service, "digits", 2)
    made = service.client.put("/models/digits/aliases/mine", json={"version": 1})
    assert (made.status_code, made.json()["aliases"]) == (200, {"latest": 2, "mine": 1})
    assert service.client.get("/samples?n=1&model=digits@mine").headers["X-Atelier-Model"] == "digits@1"
    assert service.client.put("/models/digits/aliases/mine", json={"version": 2}).json()["aliases"]["mine"] == 2
    assert service.client.delete("/models/digits/aliases/mine").status_code == 204
    assert service.client.delete("/models/digits/aliases/mine").status_code == 404
    assert service.client.get("/samples?n=1&model=digits@mine").status_code == 404


def test_a_bare_name_means_best_once_there_is_one(service: Service, model_root: Path) -> None:
    write_version(model_root, "digits", 2, seed=5)
    wait_for_versions(service, "digits", 2)
    assert service.client.put("/models/digits/aliases/best", json={"version": 1}).status_code == 200
    assert service.client.get("/models/digits@best").json()["version"] == 1
    answer = service.client.get("/samples?n=1&model=digits")
    assert answer.headers["X-Atelier-Model"] == "digits@1"


@pytest.mark.parametrize(
    ("path", "body", "status"),
    [
        ("/models/digits/aliases/mine", {"version": 9}, 404),
        ("/models/nobody/aliases/mine", {"version": 1}, 404),
        ("/models/digits/aliases/latest", {"version": 1}, 422),
        ("/models/digits/aliases/7", {"version": 1}, 422),
        ("/models/digits/aliases/Mine", {"version": 1}, 422),
        ("/models/digits/aliases/mine", {"version": "1"}, 422),
        ("/models/digits/aliases/mine", {"version": 0}, 422),
        ("/models/digits/aliases/mine", {}, 422),
        ("/models/digits/aliases/mine", {"version": 1, "force": True}, 422),
        ("/models/digits/aliases/mine?force=1", {"version": 1}, 422),
        ("/models/starter/aliases/mine", {"version": 1}, 409),
    ],
)
def test_an_alias_that_cannot_be_is_refused(
    shared_service: Service, path: str, body: dict[str, object], status: int
) -> None:
    if "starter" in path and shared_service.client.get("/models/starter").status_code == 404:
        pytest.skip("the starter is not there yet")
    answer = shared_service.client.put(path, json=body)
    assert (answer.status_code, answer.headers["Content-Type"]) == (status, "application/problem+json")


def test_no_alias_may_point_at_a_version_that_is_not_whole(service: Service, model_root: Path) -> None:
    swap_weights(write_version(model_root, "digits", 2), b"half")
    wait_for_versions(service, "digits", 2)
    assert service.client.put("/models/digits/aliases/mine", json={"version": 2}).status_code == 409


def test_latest_cannot_be_deleted(service: Service) -> None:
    assert service.client.delete("/models/digits/aliases/latest").status_code == 422


def test_a_version_is_deleted_unless_an_alias_points_at_it(service: Service, model_root: Path) -> None:
    write_version(model_root, "digits", 2, seed=5)
    wait_for_versions(service, "digits", 2)
    service.client.put("/models/digits/aliases/mine", json={"version": 2})
    refusal = service.client.delete("/models/digits@2")
    assert refusal.status_code == 409
    assert "mine" in refusal.json()["detail"]
    service.client.delete("/models/digits/aliases/mine")
    assert service.client.delete("/models/digits@2").status_code == 204
    assert service.client.delete("/models/digits@2").status_code == 404
    assert service.client.get("/samples?n=1&model=digits@2").status_code == 404
    answer = service.client.get("/samples?n=1&model=digits")
    assert (answer.status_code, answer.headers["X-Atelier-Model"]) == (200, "digits@1")


def test_an_alias_does_not_name_a_version_to_delete(service: Service) -> None:
    assert service.client.delete("/models/digits@latest").status_code == 422


def test_training_images_are_kept_by_no_shared_cache(service: Service, model_root: Path) -> None:
    files = {WEIGHTS: generator_bytes(tiny_generator(TINY_MLP, 0)), PREVIEW: b"a picture", NEIGHBOURS: b"pairs"}
    put_version(model_root, "digits", 2, files, generator=TINY_MLP)
    wait_for_versions(service, "digits", 2)
    answer = service.client.get("/models/digits@2/neighbours.png")
    assert (answer.status_code, answer.content) == (200, b"pairs")
    assert answer.headers["Cache-Control"].startswith("private, ")
