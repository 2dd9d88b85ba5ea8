"""A data directory of manifest format 1, made by commit b393aea, opened by the present program: `atelier up` over HTTP.

`tests/fixtures/make_data_dir.py` tells what it holds. Bytes depend on the processor and on torch's version: on another
machine than that of the fixture the tests ask for closeness instead.
"""

from __future__ import annotations

import io
import json
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest
import safetensors.numpy

from tests.fixtures import make_data_dir as older
from tests.fixtures.waiting import until

GOLDEN: dict[str, Any] = json.loads(older.GOLDEN.read_text())
SAME_MACHINE = older.machine() == GOLDEN["machine"]


@dataclass
class Older:
    """The service on the old data."""

    client: httpx.Client
    data: Path
    golden: Path
    calibrations: set[str]


@pytest.fixture(scope="module")
def service() -> Iterator[Older]:
    # Not under pytest's own temporary folder: its path is too long for Redis' socket.
    with tempfile.TemporaryDirectory(prefix="older-") as name:
        data = older.unpack(Path(name))
        calibrations = {path.name for path in (data / "calibration").iterdir()}
        with older.opened(Path(name), data, GOLDEN["key"]) as (_, client):
            yield Older(client, data, Path(name) / "golden", calibrations)


def lacking(expected: Any, found: Any, where: str = "") -> Iterator[str]:
    """Name what is missing or other in `found`; what is new there is no fault."""
    if isinstance(expected, dict) and isinstance(found, dict):
        for name, value in expected.items():
            if name in found:
                yield from lacking(value, found[name], f"{where}/{name}")
            else:
                yield f"{where}/{name} is missing"
    elif isinstance(expected, list) and isinstance(found, list) and len(expected) == len(found):
        for index, (value, other) in enumerate(zip(expected, found, strict=True)):
            yield from lacking(value, other, f"{where}[{index}]")
    elif expected != found:
        yield f"{where} was {expected!r} and is {found!r}"


@pytest.mark.parametrize("path", GOLDEN["listed"])
def test_what_was_there_is_listed_as_before(service: Older, path: str) -> None:
    answer = service.client.get(path)
    assert answer.status_code == 200, answer.text
    expected = GOLDEN["listed"][path]
    if "proposal" in expected:
        # Advice of this version of the program, which is not stored.
        expected = {**expected, "proposal": {**expected["proposal"], "train": answer.json()["proposal"]["train"]}}
    assert list(lacking(expected, answer.json())) == []


def test_files_are_served_as_they_are(service: Older) -> None:
    for golden in GOLDEN["files"]:
        assert list(lacking(golden, older.answer(service.client, golden["path"]))) == []


def test_deleted_version_stays_deleted(service: Older) -> None:
    assert service.client.get("/models/digits@2").status_code == GOLDEN["deleted"]


def test_keys_hold(service: Older) -> None:
    for key, status in ((GOLDEN["key"], 200), (GOLDEN["revoked"], 401), ("", 401)):
        headers = {"Authorization": f"Bearer {key}" if key else ""}
        assert service.client.get("/train", headers=headers).status_code == status
    assert "ada" in older.keys(service.data, "list")


def test_repeated_request_gives_the_run_that_is_there(service: Older) -> None:
    answer = service.client.post("/train", json=older.DIGITS, headers={"Idempotency-Key": "once"})
    assert (answer.status_code, answer.json()["id"]) == (202, GOLDEN["runs"]["succeeded"])


@pytest.mark.parametrize("ref", GOLDEN["versions"])
def test_images_are_as_before(service: Older, ref: str) -> None:
    expected = np.load(service.golden / f"{ref}.npy").astype(int)
    found = np.load(io.BytesIO(service.client.get(older.sample_paths(ref, conditional=False)[0]).content)).astype(int)
    assert found.shape == expected.shape
    # Levels of 255: on another machine other numerics may be chosen.
    assert np.abs(found - expected).mean() < 1


@pytest.mark.skipif(not SAME_MACHINE, reason=f"bytes and ETags are of {GOLDEN['machine']}, this is {older.machine()}")
@pytest.mark.parametrize("ref", GOLDEN["versions"])
def test_bytes_and_etags_are_as_before(service: Older, ref: str) -> None:
    for golden in GOLDEN["samples"]:
        if f"model={ref}&" in golden["path"]:
            assert list(lacking(golden, older.answer(service.client, golden["path"]))) == []
            etag = golden["headers"]["ETag"]
            assert service.client.get(golden["path"], headers={"If-None-Match": etag}).status_code == 304
    # Numerics that were decided then were found, and not decided anew.
    assert {path.name for path in (service.data / "calibration").iterdir()} == service.calibrations


def test_paused_run_is_resumed_published_and_served(service: Older) -> None:
    golden = GOLDEN["resumed"]
    run = older.resume(service.client, GOLDEN)
    assert run["published"][-1] == golden["published"]
    events = (service.data / "runs" / run["id"] / "2" / "events.jsonl").read_text()
    assert "resumed from 1/" in events
    assert "not exact" not in events or not SAME_MACHINE
    # A new version is found by the next scan.
    until(lambda: service.client.get(f"/models/{golden['published']}").status_code == 200, "a scan")
    weights = service.client.get(f"/models/{golden['published']}/generator.safetensors").content
    ticks = service.client.get(f"/train/{run['id']}/ticks?format=json").json()["items"]
    assert [tick["images"] for tick in ticks] == [tick["images"] for tick in golden["ticks"]]
    assert service.client.get(golden["samples"][0]["path"]).status_code == 200
    if SAME_MACHINE:
        assert older.sha256(weights) == golden["weights"]
        assert list(lacking(golden["ticks"], ticks)) == []
    # Elsewhere rounding differs, and the difference grows: it stays small against the way from the first publication.
    before, after = (_flat((service.golden / "final.safetensors").read_bytes()), _flat(weights))
    first = _flat(service.client.get(f"/models/{run['published'][0]}/generator.safetensors").content)
    assert np.linalg.norm(after - before) < 0.5 * np.linalg.norm(before - first)


def _flat(data: bytes) -> np.ndarray:
    tensors = safetensors.numpy.load(data)
    return np.concatenate([tensors[name].ravel() for name in sorted(tensors)])
