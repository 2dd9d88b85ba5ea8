"""`from`: the version that a training starts from, found, pinned and compared when it is requested."""

from __future__ import annotations

from typing import Any

import httpx
import pytest

from tests.fixtures.runs import Harness


def dry_run(harness: Harness, **request: Any) -> httpx.Response:
    return harness.http.post("/train", params={"dry_run": "true"}, json=request)


def errors(answer: httpx.Response) -> list[tuple[str, str]]:
    assert answer.status_code == 422, answer.text
    return [(".".join(map(str, item["loc"])), item["msg"]) for item in answer.json()["errors"]]


def test_the_version_is_pinned_in_the_configuration(harness: Harness) -> None:
    answer = dry_run(harness, preset="quick-28", dataset="mnist-mini", **{"from": "starter"})
    assert answer.status_code == 200, answer.text
    version = answer.json()["config"]["transfer"]["version"]
    assert version.startswith("starter@")
    assert version != "starter@best"


def test_auto_takes_the_preset_and_the_networks_of_the_version(harness: Harness) -> None:
    answer = dry_run(harness, preset="auto", dataset="mnist-mini", **{"from": "starter"})
    assert answer.status_code == 200, answer.text
    config = answer.json()["config"]
    assert (config["preset"], config["size"]) == ("quick-28", 28)


def test_a_run_keeps_what_it_starts_from(harness: Harness) -> None:
    run = harness.train(preset="quick-28", dataset="mnist-mini", model="more", **{"from": "starter"})
    assert harness.claim(run).config["transfer"]["version"].startswith("starter@")


@pytest.mark.parametrize(
    ("request_", "where", "what"),
    [
        ({"from": "nobody"}, "body.from", "nobody"),
        ({"from": "starter@999"}, "body.from", "no version 999 of the model starter"),
        ({"from": "starter", "overrides": {"latent.dim": 32}}, "body.overrides.latent", "this training dim=32"),
        (
            {"from": "starter", "overrides": {"generator.network.widths": [32, 32]}},
            "body.overrides.generator.network",
            "make them equal",
        ),
        ({"from": "starter", "overrides": {"conditional": True}}, "body.from", "no classes, this training 10"),
        ({"overrides": {"transfer.frozen_layers": 1}}, "body.overrides.transfer.frozen_layers", 'name it in "from"'),
        ({"overrides": {"transfer.version": "starter@2"}}, "body.overrides.transfer.version", 'use the field "from"'),
    ],
)
def test_what_cannot_be_started_from_is_refused(
    harness: Harness, request_: dict[str, Any], where: str, what: str
) -> None:
    found = errors(dry_run(harness, preset="quick-28", dataset="mnist-mini", **request_))
    assert [(loc, msg) for loc, msg in found if loc == where and what in msg], found
