from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from models.artifacts.attempts import Attempt, kimg_name
from models.artifacts.history import last_tick, list_snapshots, read_ticks
from models.artifacts.json_lines import append_line


def attempt_at(run: Path, token: int, start: int | None, *ticks: int) -> Attempt:
    attempt = Attempt(run, token)
    attempt.create()
    if start is not None:
        attempt.config.write_text(json.dumps({"start_images": start}))
    for images in ticks:
        append_line(attempt.ticks, {"images": images, "kimg": images / 1000, "token": token})
        (attempt.snapshots / f"{kimg_name(images)}.png").touch()
    return attempt


def history(run: Path) -> list[tuple[int, int]]:
    ticks: list[dict[str, Any]] = [{**tick} for tick in read_ticks(run)]
    return [(tick["token"], tick["images"]) for tick in ticks]


def make_attempt(run_dir: Path, token: int, start_images: int = 0) -> Attempt:
    attempt = Attempt(run_dir, token)
    attempt.create()
    attempt.config.write_text(json.dumps({"start_images": start_images}))
    return attempt


def add_tick(attempt: Attempt, images: int) -> None:
    append_line(attempt.ticks, {"images": images, "kimg": images / 1000})


def add_snapshot(attempt: Attempt, images: int) -> None:
    for suffix in ("png", "safetensors", "json"):
        (attempt.snapshots / f"{kimg_name(images)}.{suffix}").write_bytes(b"")


def test_ticks_beyond_the_start_of_a_later_attempt_are_dropped(tmp_path: Path) -> None:
    attempt_at(tmp_path, 1, 0, 10, 20, 30, 40)
    attempt_at(tmp_path, 2, 20, 30)
    assert history(tmp_path) == [(1, 10), (1, 20), (2, 30)]


def test_an_attempt_that_resumed_earlier_drops_those_in_between_too(tmp_path: Path) -> None:
    attempt_at(tmp_path, 1, 0, 10, 20, 30)
    attempt_at(tmp_path, 2, 30, 40, 50)
    attempt_at(tmp_path, 3, 20, 30)
    assert history(tmp_path) == [(1, 10), (1, 20), (3, 30)]


def test_an_attempt_that_started_from_zero_drops_all_earlier_ticks(tmp_path: Path) -> None:
    attempt_at(tmp_path, 1, 0, 10, 20)
    attempt_at(tmp_path, 2, 0, 10)
    assert history(tmp_path) == [(2, 10)]


@pytest.mark.parametrize("config", [None, "", "[]", '{"start_images": "x"}'])
def test_an_attempt_that_died_before_it_started_drops_nothing(tmp_path: Path, config: str | None) -> None:
    attempt_at(tmp_path, 1, 0, 10, 20)
    dead = attempt_at(tmp_path, 2, None)
    if config is not None:
        dead.config.write_text(config)
    assert history(tmp_path) == [(1, 10), (1, 20)]


def test_of_two_snapshots_at_a_position_the_newer_attempts_is_listed(tmp_path: Path) -> None:
    first = attempt_at(tmp_path, 1, 0, 0, 10_000, 20_000)
    attempt_at(tmp_path, 2, 10_000, 10_000)
    (first.snapshots / "000000.000.safetensors").touch()
    (first.snapshots / "preview.png").touch()
    found = list_snapshots(tmp_path)
    assert [(one.token, one.images, one.kimg) for one in found] == [(1, 0, 0.0), (2, 10_000, 10.0)]
    assert found[0].weights == first.snapshots / "000000.000.safetensors"
    assert found[1].weights is None


def test_last_tick_is_the_newest_of_the_history(tmp_path: Path) -> None:
    assert last_tick(tmp_path) is None
    first = make_attempt(tmp_path, 1)
    for images in range(0, 10_000, 100):
        add_tick(first, images)
    assert last_tick(tmp_path) == read_ticks(tmp_path)[-1] == {"images": 9900, "kimg": 9.9}
    second = make_attempt(tmp_path, 2, start_images=5000)
    assert last_tick(tmp_path) == {"images": 5000, "kimg": 5.0}
    add_tick(second, 5100)
    assert last_tick(tmp_path) == {"images": 5100, "kimg": 5.1}


def test_last_tick_is_found_far_behind_a_late_resumption(tmp_path: Path) -> None:
    first = make_attempt(tmp_path, 1)
    first.ticks.write_text("".join(f'{{"images":{n},"kimg":{n / 1000}}}\n' for n in range(0, 1_000_000, 100)))
    make_attempt(tmp_path, 2, start_images=200)
    assert last_tick(tmp_path) == {"images": 200, "kimg": 0.2}


def test_what_a_rollback_undid_is_dropped(tmp_path: Path) -> None:
    attempt = make_attempt(tmp_path, 1)
    for images in (1000, 2000, 3000):
        add_tick(attempt, images)
        add_snapshot(attempt, images)
    attempt.roll_back(1000, rolled_back_from=3000)
    assert [tick["images"] for tick in read_ticks(tmp_path)] == [1000]
    assert last_tick(tmp_path) == {"images": 1000, "kimg": 1.0}
    assert [snapshot.images for snapshot in list_snapshots(tmp_path)] == [1000]
    assert len(list(attempt.snapshots.iterdir())) == 3

    for images in (2000, 4000):
        add_tick(attempt, images)
    assert [tick["images"] for tick in read_ticks(tmp_path)] == [1000, 2000, 4000]
    assert last_tick(tmp_path) == {"images": 4000, "kimg": 4.0}


def test_a_rollback_to_before_its_attempt_undoes_earlier_ones_too(tmp_path: Path) -> None:
    first = make_attempt(tmp_path, 1)
    for images in (1000, 2000, 3000):
        add_tick(first, images)
        add_snapshot(first, images)
    second = make_attempt(tmp_path, 2, start_images=3000)
    add_tick(second, 4000)
    second.roll_back(2000, rolled_back_from=4000)
    assert [tick["images"] for tick in read_ticks(tmp_path)] == [1000, 2000]
    assert last_tick(tmp_path) == {"images": 2000, "kimg": 2.0}
    assert [snapshot.images for snapshot in list_snapshots(tmp_path)] == [1000, 2000]
    add_tick(second, 3000)
    assert [tick["images"] for tick in read_ticks(tmp_path)] == [1000, 2000, 3000]


def test_a_resumption_after_a_rollback_drops_what_is_beyond_its_start(tmp_path: Path) -> None:
    first = make_attempt(tmp_path, 1)
    for images in (1000, 2000):
        add_tick(first, images)
    first.roll_back(0, rolled_back_from=2000)
    add_tick(first, 1500)
    make_attempt(tmp_path, 2, start_images=1000)
    assert read_ticks(tmp_path) == []
    assert last_tick(tmp_path) is None
