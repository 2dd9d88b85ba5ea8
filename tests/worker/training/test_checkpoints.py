from __future__ import annotations

import hashlib
import json
from pathlib import Path

import pytest
import torch

from models.artifacts.attempts import Attempt, Position
from tests.worker.training.kept import State, keep
from worker.training.state.checkpoints import InvalidCheckpoint, newest_valid, read, read_rollback_checkpoint, write
from worker.training.state.manager import CheckpointManager


def newest(attempt: Attempt, *skipped: str) -> int | None:
    """Return the newest valid checkpoint's images, after checking why others were skipped."""
    messages: list[str] = []
    found = newest_valid(attempt.dir.parent, messages.append)
    assert len(messages) == len(skipped), messages
    for line, part in zip(messages, skipped, strict=True):
        assert part in line
    return None if found is None else found.images


def test_what_was_kept_is_read_back(attempt: Attempt) -> None:
    keep(attempt, 1000)
    found = newest_valid(attempt.dir.parent, pytest.fail)
    assert found is not None
    assert (found.name, found.images, found.environment) == ("1/000001.000", 1000, {"threads": 1})
    assert torch.equal(found.tensors["weight"], torch.ones(3))


def test_a_run_without_checkpoints_has_none(tmp_path: Path) -> None:
    assert newest_valid(tmp_path / "absent", pytest.fail) is None


def test_a_torn_checkpoint_is_skipped_with_a_word(attempt: Attempt) -> None:
    keep(attempt, 1000, 2000)
    torn = attempt.checkpoints / "000002.000" / "state.safetensors"
    torn.write_bytes(torn.read_bytes()[:-7])
    assert newest(attempt, "does not match its sha256") == 1000


def test_a_corrupt_checkpoint_is_skipped_with_a_word(attempt: Attempt) -> None:
    keep(attempt, 1000, 2000)
    corrupt = attempt.checkpoints / "000002.000" / "state.safetensors"
    data = bytearray(corrupt.read_bytes())
    data[-1] ^= 1
    corrupt.write_bytes(data)
    assert newest(attempt, "checkpoint 1/000002.000 is skipped") == 1000


@pytest.mark.parametrize("header", ["", "{", "[]", '{"format": 2}', '{"format": 1}'])
def test_a_checkpoint_without_its_header_is_skipped(attempt: Attempt, header: str) -> None:
    keep(attempt, 1000, 2000)
    (attempt.checkpoints / "000002.000" / "state.json").write_text(header)
    assert newest(attempt, "000002.000") == 1000


def test_a_pickle_is_never_read(attempt: Attempt) -> None:
    keep(attempt, 1000)
    folder = attempt.checkpoints / "000001.000"
    torch.save({"weight": torch.ones(3)}, folder / "state.safetensors")
    header = json.loads((folder / "state.json").read_text())
    header["sha256"] = hashlib.sha256((folder / "state.safetensors").read_bytes()).hexdigest()
    (folder / "state.json").write_text(json.dumps(header))
    with pytest.raises(InvalidCheckpoint, match="pickles are never read"):
        read(folder, 1)


def test_what_a_kill_left_half_written_is_no_checkpoint(attempt: Attempt) -> None:
    keep(attempt, 1000)
    (attempt.checkpoints / ".writing-000002.000").mkdir()
    assert newest(attempt) == 1000


def test_the_newest_attempt_comes_first_and_older_ones_help_out(attempt: Attempt) -> None:
    keep(attempt, 9000)
    later = Attempt(attempt.dir.parent, 2)
    later.create()
    assert newest(attempt) == 9000
    keep(later, 4000)
    assert newest(attempt) == 4000


def test_a_torn_rollback_checkpoint_gives_way_to_the_one_before_it(attempt: Attempt) -> None:
    checkpoints = CheckpointManager(attempt, {})
    checkpoints.save_rollback_checkpoint(State(1000, rollback_target=1000))
    checkpoints.save(State(1500, rollback_target=1000))
    checkpoints.save_rollback_checkpoint(State(2000, rollback_target=2000))
    checkpoints.wait()
    (attempt.rollback_checkpoints / "000002.000" / "state.json").write_text("{")
    messages: list[str] = []
    found = read_rollback_checkpoint(attempt.dir.parent, Position(0, 2000), messages.append)
    assert found is not None
    assert found.images == 1000
    assert "1/000002.000 is skipped" in messages[0]
    assert read_rollback_checkpoint(attempt.dir.parent, Position(0, 500), pytest.fail) is None


def test_the_same_position_is_written_once(attempt: Attempt) -> None:
    first = write(attempt.checkpoints, State(1000).copy(), {})
    modified = first.stat().st_mtime_ns
    assert write(attempt.checkpoints, State(1000).copy(), {}) == first
    assert first.stat().st_mtime_ns == modified
