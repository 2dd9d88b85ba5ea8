"""How the ranks of a run are started, and which of their exit codes is the run's; whole runs are in `tests/chaos`."""

from __future__ import annotations

import signal
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from torch.distributed.run import parse_args

from worker.jobs.exit_codes import ExitCode, ExitStatusFile
from worker.jobs.torchrun import ended, options


def test_a_data_directory_may_have_a_space_in_its_name(tmp_path: Path) -> None:
    folder = str(tmp_path / "my models" / ".ranks-1")
    read = parse_args([*options(folder, "2", "r1", 44.5), "worker.jobs.train", "r1", "1", f"{folder}/ending"])  # type: ignore[no-untyped-call]
    assert (read.rdzv_endpoint, read.log_dir) == (f"{folder}/rendezvous", f"{folder}/logs")
    assert (read.nproc_per_node, read.shutdown_timeout, read.module) == ("2", 45, True)
    assert [read.training_script, *read.training_script_args] == ["worker.jobs.train", "r1", "1", f"{folder}/ending"]


def test_the_exit_status_needs_no_room_once_it_is_reserved(tmp_path: Path) -> None:
    path = tmp_path / "ending"
    status = ExitStatusFile(path)
    assert status.read() is None
    status.reserve()
    assert status.read() is None
    before = path.stat()
    status.write(ExitCode.REFUSED)
    after = path.stat()
    assert status.read() == ExitCode.REFUSED
    assert (before.st_ino, before.st_size) == (after.st_ino, after.st_size)


def failed(timestamp: int, code: int) -> Any:
    return SimpleNamespace(timestamp=timestamp, exitcode=code)


@pytest.mark.parametrize(
    ("failures", "code"),
    [
        ({0: failed(5, 1), 1: failed(4, 70)}, 70),
        ({0: failed(5, 1), 1: failed(5, ExitCode.STOPPED)}, ExitCode.STOPPED),
        ({0: failed(5, 1), 1: failed(5, ExitCode.REFUSED)}, ExitCode.REFUSED),
    ],
)
def test_ranks_end_as_the_one_that_ended_first_and_knew_why(
    failures: dict[int, Any], code: int, capsys: pytest.CaptureFixture[str]
) -> None:
    assert ended(failures) == code
    assert ("rank 1 of the training died first" in capsys.readouterr().out) == (code == 70)


def test_a_rank_that_was_killed_is_why_the_others_failed(monkeypatch: pytest.MonkeyPatch) -> None:
    sent: list[int] = []
    monkeypatch.setattr("os.kill", lambda _pid, sent_signal: sent.append(sent_signal))
    ended({0: failed(5, ExitCode.STOPPED), 1: failed(5, -signal.SIGKILL)})
    assert sent == [signal.SIGKILL]
