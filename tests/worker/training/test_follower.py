"""A rank that follows, on its own: what it is told comes from a script instead of rank 0."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch

from models.config.training import TrainingConfig
from models.records import Run
from tests.fixtures.trainings import Harness, working_house
from tests.worker.training.tiny import tiny
from worker.data.prepared import Prepared
from worker.jobs.exit_codes import ExitCode
from worker.settings import WorkerSettings
from worker.training import rounds, trainer
from worker.training.devices import follower
from worker.training.devices.follower import follow
from worker.training.devices.ranks import Command, Ranks
from worker.training.resolution import resolve
from worker.training.rounds import run_round
from worker.training.setup import new_state
from worker.training.state.state import TrainingState


class Scripted(Ranks):
    """Rank 0's orders, one after the other, then its end."""

    def __init__(self, path: Path, commands: list[Command]) -> None:
        super().__init__()
        self._path = path
        self._orders = iter(commands)

    def broadcast(self, _value: Any = None) -> Any:
        return str(self._path)

    def command(self, _order: Command = Command.END) -> Command:
        return next(self._orders, Command.END)


@pytest.fixture
def harness(tmp_path: Path) -> Iterator[Harness]:
    yield from working_house(tmp_path)


class Following:
    """Follows in this process, in a run that rank 0 has begun."""

    def __init__(self, harness: Harness, digits: Prepared, monkeypatch: pytest.MonkeyPatch) -> None:
        self.harness = harness
        self.settings = WorkerSettings(data_dir=harness.data_dir, database_url=harness.url, device="cpu", threads=1)
        self.rounds = 0
        self._digits = digits
        self._patch = monkeypatch

    def begin(self, config: TrainingConfig) -> Run:
        run = self.harness.create(config)
        attempt = self.harness.attempt(run)
        attempt.create()
        resolved = resolve(config, self.settings, self._digits, {})
        begun = {"config": config.model_dump(mode="json"), "resolved": resolved.model_dump()}
        attempt.config.write_text(json.dumps(begun))
        return run

    def follow(self, run: Run, commands: list[Command], room: int = 1000) -> ExitCode:
        """Obey; from the first ordered round on the discriminator has room for so many images."""
        self._patch.setattr(follower, "join_ranks", lambda _devices: Scripted(self._digits.path, commands))

        def counted(*arguments: Any, **settings: Any) -> None:
            self.rounds += 1
            run_round(*arguments, **settings)

        def ask(_module: object, inputs: tuple[torch.Tensor, ...]) -> None:
            if self.rounds and len(inputs[0]) > room:
                torch.empty(1 << 60, dtype=torch.uint8)

        def small(*arguments: Any) -> TrainingState:
            state = new_state(*arguments)
            state.modules["discriminator"].register_forward_pre_hook(ask)
            return state

        self._patch.setattr(rounds, "run_round", counted)
        self._patch.setattr(follower, "new_state", small)
        return follow(run.id, run.token, self.settings, lambda: False)

    def accumulate(self, run: Run) -> int:
        row = self.harness.records.get_run(run.id)
        assert row is not None
        return int(row.resolved.get("accumulate", 1))


@pytest.fixture
def following(harness: Harness, digits: Prepared, monkeypatch: pytest.MonkeyPatch) -> Following:
    return Following(harness, digits, monkeypatch)


def test_a_rank_does_as_it_is_reported_until_the_end(following: Following) -> None:
    run = following.begin(tiny())
    commands = [Command.SYNC_STATE, Command.ROUND, Command.SYNC_STATE, Command.LOGGED_ROUND]
    assert following.follow(run, commands) == ExitCode.COMPLETED
    assert following.rounds == 2


def test_a_rank_ends_where_rank_0_could_not_begin(following: Following) -> None:
    run = following.begin(tiny())
    assert following.follow(run, []) == ExitCode.COMPLETED
    assert following.rounds == 0


def test_a_rank_that_is_stopped_before_the_beginning_has_nothing_to_say(following: Following) -> None:
    """Rank 0 may have died: that counts."""
    run = following.harness.create(tiny())
    assert follow(run.id, run.token, following.settings, lambda: True) == ExitCode.COMPLETED


def test_a_rank_without_room_hands_the_run_back_to_go_on_in_slices(following: Following) -> None:
    run = following.begin(tiny())
    assert following.follow(run, [Command.SYNC_STATE, Command.ROUND], room=8) == ExitCode.STOPPED
    assert following.accumulate(run) == 2


def test_a_rank_without_room_for_the_smallest_slice_says_why(following: Following) -> None:
    run = following.begin(tiny("dcgan-28", batch_size=2))
    assert following.follow(run, [Command.SYNC_STATE, Command.ROUND], room=0) == ExitCode.REFUSED
    assert following.harness.reason(run).startswith("cpu has not enough memory for 2 image(s) at a time")


def test_others_hear_that_rank_0_cannot_go_on_from_its_checkpoint(
    harness: Harness, digits: Prepared, monkeypatch: pytest.MonkeyPatch
) -> None:
    closed: list[bool] = []

    class Watched(Scripted):
        def command(self, command: Command = Command.END) -> Command:
            assert command is not Command.SYNC_STATE
            return command

        def close(self) -> None:
            closed.append(True)

    def refuse(*_arguments: Any) -> None:
        raise KeyError("confidence")

    run = harness.create(tiny(kimg=1))
    assert harness.train(run) == ExitCode.COMPLETED
    harness.records.release_run(run.claim, "succeeded")
    harness.records.resume(run.id, kimg=2)
    monkeypatch.setattr(trainer, "join_ranks", lambda _devices: Watched(digits.path, []))
    monkeypatch.setattr(TrainingState, "restore", refuse)
    assert harness.train(harness.claim()) == ExitCode.REFUSED
    assert closed == [True]
