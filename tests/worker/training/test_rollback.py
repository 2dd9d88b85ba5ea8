"""Trainings that go wrong, each in its own way, and what becomes of them."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from models.artifacts.attempts import Position
from models.artifacts.history import last_tick, list_snapshots, read_ticks
from models.config.training import TrainingConfig
from models.scores import Evaluation, EvaluationSchedule, Score
from tests.worker.training.attempts import Attempts, after, with_evaluator
from tests.worker.training.tiny import tiny
from worker.data.prepared import Prepared
from worker.training.failure import GaveUp
from worker.training.loop import TrainingLoop
from worker.training.state.state import TrainingState

# Evaluations every 128 images, a tick before each: a rule stands after 384.
SHORT: dict[str, Any] = {"kimg": 2.56, "snapshots": 20, "tick_kimg": 0.128}


@pytest.fixture
def run(tmp_path: Path, digits: Prepared) -> Attempts:
    return Attempts(tmp_path / "run", digits)


def with_harm(
    run: Attempts, config: TrainingConfig, harm: Callable[[TrainingState], None], rounds: int = 10**6
) -> TrainingLoop:
    """Set up an attempt in which something happens to the state before each round, and that stops after some."""
    stop = after(rounds)
    loops: list[TrainingLoop] = []

    def stop_requested() -> bool:
        if stop():
            return True
        with torch.no_grad():
            harm(loops[0].state)
        return False

    loops.append(run.start(config, stop_requested, young=64))
    return loops[0]


def freeze(state: TrainingState) -> None:
    """Let the generator paint one image, whatever it is given."""
    for network in (state.modules["generator"], state.averages["average"]):
        next(network.parameters()).zero_()


def messages(run: Attempts) -> list[str]:
    return [str(data["message"]) for data in run.events("log")]


def test_a_rate_that_overflows_is_halved_until_it_does_not(run: Attempts) -> None:
    rates = {"generator__lr": 1.0, "discriminator__lr": 1.0}
    assert run.start(tiny("r3gan-32", kimg=0.4, snapshots=2, tick_kimg=0.04, **rates)).run()
    assert "no longer a finite number. The run was rolled back to its start (rollback 1 of 3)" in messages(run)[0]
    tick = read_ticks(run.run_dir)[-1]
    assert tick["images"] == 400
    assert tick["rollbacks"] >= 1
    assert tick["lr_factor"] == 0.5 ** tick["rollbacks"]
    assert tick["penalty_factor"] == 2.0 ** tick["rollbacks"]


def test_weights_that_are_lost_once_cost_the_way_back_to_the_best_point(run: Attempts) -> None:
    def lose(state: TrainingState) -> None:
        if state.position == Position(0, 1600):
            next(state.modules["generator"].parameters()).fill_(torch.nan)

    assert with_harm(run, tiny(**SHORT), lose).run()
    (event,) = [data for data in run.events("health") if data["verdict"] == "rolled_back"]
    assert event["rolled_back_to"] == 1.536
    assert event["reasons"][0] == "At 1.664 kimg a loss or a gradient is no longer a finite number."
    assert "the best point so far, at 1.536 kimg (rollback 1 of 3)" in event["reasons"][1]
    assert "learning rates times 0.5" in event["reasons"][1]
    positions = [tick["images"] for tick in read_ticks(run.run_dir)]
    assert positions == sorted(set(positions))
    assert positions[-1] == 2560
    assert last_tick(run.run_dir) == read_ticks(run.run_dir)[-1]


def test_a_collapsed_generator_is_rolled_back_and_recovers(run: Attempts) -> None:
    def collapse(state: TrainingState) -> None:
        if state.guard.rollbacks == 0 and state.images >= 1024:
            freeze(state)

    assert with_harm(run, tiny("least-squares", **SHORT), collapse).run()
    (line,) = messages(run)
    assert line.startswith("At 1.408 kimg images of different latents differ by 0% of what real images differ by.")
    assert [data["verdict"] for data in run.events("health")].count("rolled_back") == 1
    assert run.published[-1] == (2560, True)
    # What is beyond the best point, at 1.024 kimg, is of the second way; its marks lie a round later.
    assert [snapshot.images for snapshot in list_snapshots(run.run_dir)][8:11] == [1024, 1184, 1312]
    assert len({images for images, _ in run.published}) == len(run.published)


def test_a_conditional_generator_that_heeds_only_the_class_is_rolled_back(run: Attempts) -> None:
    def forget_latents(state: TrainingState) -> None:
        if state.guard.rollbacks == 0 and state.images >= 1024:
            for network in (state.modules["generator"], state.averages["average"]):
                first = next(weight for name, weight in network.named_parameters() if name.startswith("network."))
                first[:, : config.latent.dim] = 0

    config = tiny("mlp-conditional", guard="full", **SHORT)
    assert with_harm(run, config, forget_latents).run()
    (line,) = messages(run)
    assert "images of different latents differ by 0% of what real images differ by" in line


def test_a_generator_that_learns_nothing_ends_the_run_after_three_rollbacks(run: Attempts) -> None:
    """A rate of 1 leaves a discriminator whose every unit is off: it says one thing of all images."""
    with pytest.raises(GaveUp, match="3 rollbacks with smaller learning rates did not help; no earlier point is worth"):
        with_harm(run, tiny("least-squares", discriminator__lr=1.0, **SHORT), freeze).run()
    assert len(messages(run)) == 3
    health = run.events("health")
    assert [data["verdict"] for data in health].count("rolled_back") == 3
    assert health[-1]["verdict"] == "failed"
    assert run.published[-1:] != [(2560, True)]


def test_a_discriminator_that_has_won_is_found_by_the_generators_gradient(run: Attempts) -> None:
    def win(state: TrainingState) -> None:
        if state.guard.rollbacks == 0 and state.images >= 1024:
            list(state.modules["discriminator"].parameters())[1].fill_(-1e6)  # no unit of the first layer is ever on

    assert with_harm(run, tiny("least-squares", **SHORT), win).run()
    assert "the generator learns nothing from the discriminator any more: its gradient is 0.0e+00" in messages(run)[0]


def test_an_exploding_gradient_is_found_by_its_history(run: Attempts) -> None:
    def explode(state: TrainingState) -> None:
        if state.guard.rollbacks == 0 and state.images >= 1024:
            list(state.modules["discriminator"].parameters())[-2].fill_(1e6)

    assert with_harm(run, tiny("least-squares", **SHORT), explode).run()
    assert "'s gradient is " in messages(run)[0]
    assert "usually it was" in messages(run)[0]


class Judge:
    """Stands in for measures that take longer than these trainings: the score is told by the position."""

    def __init__(self, state: TrainingState, score: Callable[[TrainingState], float]) -> None:
        self._state, self._score = state, score
        self.schedule = EvaluationSchedule(
            every=1, publications=True, final=False, classifier=False, inception=False, primary="told", share=0.0
        )

    def __call__(self, average: torch.nn.Module, images: int, *, final: bool) -> Evaluation:
        score = Score(value=self._score(self._state), protocol="told")
        return Evaluation(images=images, primary="told", scores={"told": score})


def judged(run: Attempts, config: TrainingConfig, score: Callable[[TrainingState], float]) -> TrainingLoop:
    loop = run.start(config, young=64)
    return with_evaluator(loop, Judge(loop.state, score))


def test_a_score_that_worsens_takes_the_run_back_to_the_best_one(run: Attempts) -> None:
    def score(state: TrainingState) -> float:
        return 50.0 if state.guard.rollbacks == 0 and state.images > 1024 else 20.0 - state.images / 1000

    assert judged(run, tiny("least-squares", **SHORT), score).run()
    assert messages(run)[0].startswith("At 1.408 kimg the score is 50, at its best it was 18.98.")
    assert "the best point so far, at 1.024 kimg" in messages(run)[0]
    assert run.published[-1] == (2560, True)


def test_a_run_that_always_decays_ends_with_its_best_version(run: Attempts, tmp_path: Path, digits: Prepared) -> None:
    def score(state: TrainingState) -> float:
        return 20.0 - state.images / 1000 if state.images <= 1024 else 50.0

    config = tiny("least-squares", publish_every=1, **SHORT)
    assert judged(run, config, score).run()
    assert run.published == [(1024, True)]
    assert messages(run)[-1].endswith("the run ends with its best version, of 1.024 kimg.")
    assert run.events("health")[-1]["verdict"] == "stopped"
    assert last_tick(run.run_dir) == read_ticks(run.run_dir)[-1]
    assert read_ticks(run.run_dir)[-1]["images"] == 1024

    calm = Attempts(tmp_path / "calm", digits)
    assert not judged(calm, config, score).state.images
    alone = calm.start(config, after(32))
    assert not alone.run()
    best = {name: tensor for name, tensor in alone.state.copy().tensors.items() if name.startswith("average.")}
    kept = run.start(config).state.copy().tensors
    assert all(torch.equal(kept[name], tensor) for name, tensor in best.items())


def test_an_attempt_after_that_publishes_it_again_and_a_longer_target_goes_on(run: Attempts) -> None:
    def score(state: TrainingState) -> float:
        return 20.0 - state.images / 1000 if state.images <= 1024 else 50.0

    config = tiny("least-squares", publish_every=1, **SHORT)
    assert judged(run, config, score).run()
    assert run.start(config).run()
    assert run.published == [(1024, True), (1024, True)]
    assert run.start(config.model_copy(update={"kimg": 4.0})).run()
    assert run.published[-1] == (4000, True)
    assert read_ticks(run.run_dir)[-1]["rollbacks"] == 4


@pytest.mark.parametrize("stops", [(20,), (36, 3), (47, 9)])
def test_a_run_stopped_before_or_after_its_rollback_ends_in_the_same_bytes(
    stops: tuple[int, ...], run: Attempts, tmp_path: Path, digits: Prepared
) -> None:
    def collapse(state: TrainingState) -> None:
        if state.guard.rollbacks == 0 and state.images >= 1024:
            freeze(state)

    config = tiny("least-squares", **SHORT)
    calm = Attempts(tmp_path / "calm", digits)
    assert with_harm(calm, config, collapse).run()
    for rounds in stops:
        assert not with_harm(run, config, collapse, rounds).run()
    assert with_harm(run, config, collapse).run()
    assert run.weights == calm.weights
    timed = ("time", "images_per_second", "eta_seconds")
    histories = [
        [{name: value for name, value in tick.items() if name not in timed} for tick in read_ticks(of.run_dir)]
        for of in (run, calm)
    ]
    assert histories[0] == histories[1]
    positions = [[found.images for found in list_snapshots(each.run_dir)] for each in (run, calm)]
    assert positions[0] == positions[1]


class Killed(Exception):
    """Stands in for a kill."""


@pytest.mark.parametrize(
    ("place", "when", "times_reported"), [("checkpoints", "save", 2), ("reporter", "rolled_back", 1)]
)
def test_a_run_killed_while_it_rolls_back_tells_why_and_ends_in_the_same_bytes(
    place: str,
    when: str,
    times_reported: int,
    run: Attempts,
    tmp_path: Path,
    digits: Prepared,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def lose(state: TrainingState) -> None:
        if state.position == Position(0, 1600):
            next(state.modules["generator"].parameters()).fill_(torch.nan)

    def kill(*arguments: object) -> None:
        raise Killed

    config = tiny(**(SHORT | {"checkpoint_minutes": 60}))
    calm = Attempts(tmp_path / "calm", digits)
    assert with_harm(calm, config, lose).run()
    loop = with_harm(run, config, lose)
    monkeypatch.setattr(getattr(loop, place), when, kill)
    with pytest.raises(Killed):
        loop.run()
    assert with_harm(run, config, lose).run()
    assert run.weights == calm.weights
    assert len(messages(run)) == times_reported
    assert [data["verdict"] for data in run.events("health")].count("rolled_back") == times_reported
    assert [tick["images"] for tick in read_ticks(run.run_dir)] == [tick["images"] for tick in read_ticks(calm.run_dir)]


def test_minimax_reports_what_it_does_not_act_on(run: Attempts) -> None:
    assert with_harm(run, tiny("minimax", **SHORT), freeze).run()
    assert messages(run) == []
    (found,) = [data for data in run.events("health") if data["verdict"] == "collapsed"]
    assert found["reasons"][0].startswith("Images of different latents differ by 0%")
    assert run.published[-1] == (2560, True)


@pytest.mark.parametrize("preset", ["mlp-conditional", "least-squares", "quick-28"])
def test_a_healthy_run_is_left_alone(run: Attempts, preset: str) -> None:
    loop = run.start(tiny(preset, **SHORT), young=64)
    assert loop.run()
    assert messages(run) == []
    assert (loop.state.guard.rollbacks, loop.state.guard.active) == (0, ())
