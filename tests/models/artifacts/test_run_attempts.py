from __future__ import annotations

from pathlib import Path

import pytest

from models.artifacts.attempts import Position, kimg_name, list_attempts, parse_kimg_name


def test_attempts_are_in_numeric_order_and_other_entries_ignored(tmp_path: Path) -> None:
    for name in ("10", "9", "notes", "²", "007"):
        (tmp_path / name).mkdir()
    assert [attempt.token for attempt in list_attempts(tmp_path)] == [9, 10]
    assert list_attempts(tmp_path / "none") == []


@pytest.mark.parametrize("images", [0, 999, 1000, 512_000, 999_999_999, 12_345_678_901])
def test_a_position_comes_back_from_its_name(images: int) -> None:
    assert parse_kimg_name(kimg_name(images)) == images


@pytest.mark.parametrize("name", ["", "1.0", "000001.0000", "000001", "nan", "000001.000.tmp"])
def test_other_names_are_not_positions(name: str) -> None:
    assert parse_kimg_name(name) is None


def test_checkpoints_are_named_by_position() -> None:
    positions = [Position(0, 512_000), Position(2, 512_032), Position(0, 1_234_567_890)]
    assert [position.name for position in positions] == ["000512.000", "000512.032-2", "1234567.890"]
    assert [Position.parse(position.name) for position in positions] == positions
    assert [Position.parse(name) for name in ("512.000", "000512.000-0", ".writing-000512.000", "best")] == [None] * 4
