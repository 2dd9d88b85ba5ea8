from __future__ import annotations

from pathlib import Path

import pytest

from models.artifacts.json_lines import append_line, read_lines


def test_reading_continues_from_the_returned_offset(tmp_path: Path) -> None:
    path = tmp_path / "lines.jsonl"
    append_line(path, {"a": 1, "text": "ö\u2028\r\n"})
    values, offset = read_lines(path)
    assert values == [{"a": 1, "text": "ö\u2028\r\n"}]
    append_line(path, {"a": 2})
    assert read_lines(path, offset) == ([{"a": 2}], path.stat().st_size)


def test_a_missing_file_has_no_lines(tmp_path: Path) -> None:
    assert read_lines(tmp_path / "none.jsonl", 7) == ([], 7)


def test_a_torn_last_line_is_left_until_it_is_whole(tmp_path: Path) -> None:
    path = tmp_path / "lines.jsonl"
    path.write_bytes(b'{"a":1}\n{"a":')
    values, offset = read_lines(path)
    assert (values, offset) == ([{"a": 1}], 8)
    with path.open("ab") as file:
        file.write(b"2}\n")
    assert read_lines(path, offset) == ([{"a": 2}], 16)


def test_a_line_appended_after_a_torn_one_is_not_swallowed_by_it(tmp_path: Path) -> None:
    path = tmp_path / "lines.jsonl"
    path.write_bytes(b'{"a":1}\n{"a":')
    _, offset = read_lines(path)
    append_line(path, {"a": 3})
    assert read_lines(path)[0] == [{"a": 1}, {"a": 3}]
    assert read_lines(path, offset)[0] == [{"a": 3}]


def test_invalid_lines_are_skipped(tmp_path: Path) -> None:
    path = tmp_path / "lines.jsonl"
    path.write_bytes(b'{"a":1}\n' + bytes(9) + b'\n\xff\xfe\n[1]\n\n{"a":2}\n')
    assert read_lines(path)[0] == [{"a": 1}, {"a": 2}]


def test_values_that_json_cannot_hold_are_refused_and_leave_no_file(tmp_path: Path) -> None:
    path = tmp_path / "lines.jsonl"
    with pytest.raises(ValueError, match="not JSON compliant"):
        append_line(path, {"loss": float("nan")})
    assert not path.exists()


def test_a_full_disk_raises() -> None:
    with pytest.raises(OSError, match="No space left"):
        append_line(Path("/dev/full"), {"a": 1})
