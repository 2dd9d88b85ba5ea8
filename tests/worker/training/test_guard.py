from __future__ import annotations

from dataclasses import replace
from itertools import count
from typing import Any

import pytest

from models.artifacts.attempts import Position
from models.scores import Score
from tests.worker.training.tiny import tiny
from worker.training.guard.findings import COLLAPSED, EXPLODED, FADED, GRACE, Rules
from worker.training.guard.guard import (
    GuardState,
    Observation,
    after_rollback,
    check_tick,
    check_weights,
    monitored,
    observe,
)

RULES = Rules(acts=True, total=100, young=10, parameters=100)
Figures = dict[str, float | None]
GRADIENTS = ("gradient_d", "gradient_g")
WELL: Figures = {
    "loss_d": 1.3,
    "loss_d_real": 0.6,
    "loss_d_fake": 0.7,
    "loss_g": 0.8,
    "d_real": 0.6,
    "d_fake": 0.4,
    "d_fake_after": 0.3,
    "penalty": None,
    "gradient_d": 1.0,
    "gradient_g": 1.0,
}


class Run:
    """A run whose evaluations lie 4 % apart, each after a tick."""

    def __init__(self) -> None:
        self.state = GuardState()
        self._images = count(12, 4)

    def evaluate(
        self, times: int = 1, means: Figures = WELL, diversity: float | None = 0.9, score: float = 1.0
    ) -> None:
        for _ in range(times):
            self.state, finding = check_tick(self.state, means, GRADIENTS)
            assert finding is None
            found = Score(value=score, protocol="p") if score else None
            self.state = observe(RULES, self.state, Observation(next(self._images), diversity, found))

    @property
    def active(self) -> list[str]:
        return [finding.kind for finding in self.state.active]


@pytest.mark.parametrize("name", ["loss_d", "loss_g", "penalty", "gradient_d", "gradient_g"])
@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_any_figure_that_is_no_number_is_found_at_once(name: str, value: float) -> None:
    state, finding = check_tick(GuardState(), WELL | {name: value}, GRADIENTS)
    assert finding is not None
    assert finding.kind == "diverged"
    assert state == GuardState()


def test_weights_that_are_no_numbers_are_found_at_once() -> None:
    assert check_weights(()) is None
    finding = check_weights(("generator.0.weight",))
    assert finding is not None
    assert (finding.kind, "generator.0.weight" in finding.evidence) == ("diverged", True)


def test_a_healthy_run_has_nothing_active_and_its_best_point_as_rollback_checkpoint() -> None:
    run = Run()
    run.evaluate(5)
    run.evaluate(score=0.8)
    run.evaluate(5, score=0.9)
    assert run.active == []
    assert run.state.rollback_target == Position(0, 32)


def test_without_scores_the_rollback_checkpoint_is_the_newest_point_at_which_no_rule_holds() -> None:
    run = Run()
    run.evaluate(4, score=0)
    assert run.state.rollback_target == Position(0, 24)
    run.evaluate(diversity=0.0, score=0)
    assert run.state.rollback_target == Position(0, 24)


BAD: dict[str, Any] = {
    "collapsed": {"diversity": 0.5 * COLLAPSED},
    "worsening": {"score": 2.2},
    "exploding": {"means": WELL | {"gradient_d": 2 * EXPLODED}},
    "discriminator_won": {"means": WELL | {"gradient_g": 0.5 * FADED}},
}


@pytest.mark.parametrize("kind", BAD)
def test_a_rule_becomes_active_after_three_evaluations(kind: str) -> None:
    run = Run()
    run.evaluate(5)
    run.evaluate(2, **BAD[kind])
    assert (run.active, list(run.state.streaks)) == ([], [kind])
    run.evaluate(**BAD[kind])
    assert run.active == [kind]
    run.evaluate()
    assert (run.active, run.state.streaks) == ([], {})


@pytest.mark.parametrize("kind", BAD)
def test_a_rule_that_holds_now_and_then_never_becomes_active(kind: str) -> None:
    run = Run()
    run.evaluate(5)
    for _ in range(5):
        run.evaluate(2, **BAD[kind])
        run.evaluate()
        assert run.active == []


def test_evaluations_close_together_have_to_make_a_twentieth_of_the_run() -> None:
    rules, state = replace(RULES, total=10_000), Run().state.model_copy(update={"diverse": True})
    for images in range(1000, 1500, 100):
        state = observe(rules, state, Observation(images, 0.0))
        assert state.active == ()
    assert observe(rules, state, Observation(1500, 0.0)).active != ()


def test_without_scores_rollback_checkpoints_lie_a_few_hundredths_of_the_run_apart() -> None:
    rules = replace(RULES, total=1000)
    state, rollback_checkpoints = GuardState(), []
    for images in range(2, 100, 2):
        state = observe(rules, state, Observation(images, 0.9))
        rollback_checkpoints.append(state.rollback_target.images)
    assert sorted(set(rollback_checkpoints)) == [0, 30, 60, 90]


def test_a_young_run_is_left_alone() -> None:
    state = GuardState()
    for images in range(1, 10):
        state = observe(RULES, state, Observation(images, 0.0))
    assert (state.streaks, state.rollback_target) == ({}, Position(0, 9))


def test_a_generator_that_has_never_made_different_images_has_a_tenth_of_the_run() -> None:
    state = GuardState()
    begun = int(GRACE * 1000)
    for images in range(20, begun, 20):
        state = observe(replace(RULES, total=1000), state, Observation(images, 0.0))
        assert state.streaks == {}
    assert "collapsed" in observe(replace(RULES, total=1000), state, Observation(begun, 0.0)).streaks


def test_gradients_that_adam_cannot_see_need_no_history() -> None:
    run = Run()
    run.evaluate(3, means=WELL | {"gradient_g": 0.0})
    assert run.active == ["discriminator_won"]
    assert "too small to move it" in run.state.active[0].evidence


def test_what_is_not_measured_neither_goes_on_nor_ends() -> None:
    run = Run()
    run.evaluate(5)
    run.evaluate(3, score=3.0)
    assert run.active == ["worsening"]
    run.evaluate(score=0)
    assert run.active == ["worsening"]
    assert run.state.streaks["worsening"].evaluations == 3


@pytest.mark.parametrize(
    ("first", "best", "now", "worse"),
    [
        (400.0, 49.0, 137.0, True),
        (400.0, 49.0, 80.0, False),
        (0.30, 0.001, 0.02, False),  # KID near 0: twice the best is noise
        (0.30, -0.001, 0.05, True),
    ],
)
def test_a_score_has_worsened_when_it_is_twice_the_best_and_a_tenth_of_the_gain_is_lost(
    first: float, best: float, now: float, worse: bool
) -> None:
    run = Run()
    run.evaluate(score=first)
    run.evaluate(score=best)
    run.evaluate(score=now)
    assert ("worsening" in run.state.streaks) == worse


def test_where_higher_is_better_half_the_best_is_worse() -> None:
    state = GuardState()
    for images, value in ((20, 0.2), (24, 0.8), (28, 0.5), (32, 0.3)):
        score = Score(value=value, protocol="p", lower_is_better=False)
        state = observe(RULES, state, Observation(images, 0.9, score))
        assert ("worsening" in state.streaks) == (value == 0.3)


def test_another_protocol_begins_anew() -> None:
    run = Run()
    run.evaluate(3)
    run.evaluate(3, score=3.0)
    assert run.active == ["worsening"]
    first = Score(value=99.0, protocol="other")
    state = observe(RULES, run.state, Observation(40, 0.9, first))
    assert (state.streaks, state.active, state.rollback_target) == ({}, (), Position(0, 40))
    assert state.first == state.best == first
    state = observe(RULES, state, Observation(44, 0.9, Score(value=200.0, protocol="other")))
    assert list(state.streaks) == ["worsening"]
    assert observe(RULES, state, Observation(48, 0.9, Score(value=9.0, protocol="other"))).rollback_target == Position(
        0, 48
    )


def test_after_a_rollback_the_rules_start_over_with_gentler_settings() -> None:
    run = Run()
    run.evaluate(5)
    rollback_target = run.state
    run.evaluate(3, diversity=0.0)
    state = after_rollback(rollback_target, run.state.rollbacks + 1, None)
    assert (state.lr_factor, state.penalty_factor, state.streaks, state.active) == (0.5, 2.0, {}, ())
    assert state.usual == rollback_target.usual
    assert state.backoff() == {"rollbacks": 1, "lr_factor": 0.5, "penalty_factor": 2.0}


def test_a_memory_survives_json() -> None:
    run = Run()
    run.evaluate(5)
    run.evaluate(3, diversity=0.0)
    assert GuardState.model_validate_json(run.state.model_dump_json()) == run.state


def test_gradients_are_reported_as_multiples_of_what_is_usual() -> None:
    run = Run()
    run.evaluate(3)
    state, _ = check_tick(run.state, WELL | {"gradient_d": 3.0, "gradient_g": 0.5}, GRADIENTS)
    assert monitored(state, Observation(40, 0.7), GRADIENTS) == {"diversity": 0.7, "gradient_d": 3.0, "gradient_g": 0.5}
    unknown = {"diversity": 0.7, "gradient_d": None, "gradient_g": None}
    assert monitored(GuardState(), Observation(40, 0.7), GRADIENTS) == unknown


def test_the_presets_of_courses_and_every_minimax_act_on_numbers_only() -> None:
    collapsed = observe(RULES, GuardState(diverse=True), Observation(50, 0.0)).model_copy()
    for _ in range(3):
        collapsed = observe(RULES, collapsed, Observation(60, 0.0))
    (finding,) = collapsed.active
    broken = check_weights(("x",))
    assert broken is not None
    for preset, acts in (("mlp-mnist", False), ("minimax", False), ("quick-28", True), ("wgan-gp", True)):
        rules = Rules.of(tiny(preset), 6000)
        assert (rules.act_on(finding), rules.act_on(broken)) == (acts, True)
    assert not Rules.of(tiny("dcgan-28", loss="minimax"), 6000).acts
