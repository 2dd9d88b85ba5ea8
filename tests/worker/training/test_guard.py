from __future__ import annotations

from dataclasses import replace
from itertools import count

import pytest

from models.artifacts.attempts import Position
from models.scores import Score
from tests.worker.training.tiny import tiny
from worker.training.guard.findings import COLLAPSED, EXPLODED, FADED, GRACE, Rules
from worker.training.guard.guard import Memory, Seen, gone_back, look, note_tick, note_weights, watched
from worker.training.reporting.telemetry import Means

RULES = Rules(acts=True, total=100, young=10, parameters=100)
WELL = Means(
    loss_d=1.3,
    loss_d_real=0.6,
    loss_d_fake=0.7,
    loss_g=0.8,
    d_real=0.6,
    d_fake=0.4,
    d_fake_after=0.3,
    penalty=None,
    gradient_d=1.0,
    gradient_g=1.0,
)


class Run:
    """A run whose evaluations lie 4 % apart, each after a tick."""

    def __init__(self) -> None:
        self.memory = Memory()
        self._images = count(12, 4)

    def evaluate(self, times: int = 1, means: Means = WELL, diversity: float | None = 0.9, score: float = 1.0) -> None:
        for _ in range(times):
            self.memory, finding = note_tick(self.memory, means)
            assert finding is None
            found = Score(value=score, protocol="p") if score else None
            self.memory = look(RULES, self.memory, Seen(next(self._images), diversity, found))

    @property
    def standing(self) -> list[str]:
        return [finding.kind for finding in self.memory.standing]


@pytest.mark.parametrize("name", ["loss_d", "loss_g", "penalty", "gradient_d", "gradient_g"])
@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_any_figure_that_is_no_number_is_found_at_once(name: str, value: float) -> None:
    memory, finding = note_tick(Memory(), replace(WELL, **{name: value}))
    assert finding is not None
    assert finding.kind == "diverged"
    assert memory == Memory()


def test_weights_that_are_no_numbers_are_found_at_once() -> None:
    assert note_weights(()) is None
    finding = note_weights(("generator.0.weight",))
    assert finding is not None
    assert (finding.kind, "generator.0.weight" in finding.seen) == ("diverged", True)


def test_a_healthy_run_has_nothing_standing_and_its_best_point_as_refuge() -> None:
    run = Run()
    run.evaluate(5)
    run.evaluate(score=0.8)
    run.evaluate(5, score=0.9)
    assert run.standing == []
    assert run.memory.refuge == Position(0, 32)


def test_without_scores_the_refuge_is_the_newest_point_at_which_no_rule_holds() -> None:
    run = Run()
    run.evaluate(4, score=0)
    assert run.memory.refuge == Position(0, 24)
    run.evaluate(diversity=0.0, score=0)
    assert run.memory.refuge == Position(0, 24)


BAD = {
    "collapsed": {"diversity": 0.5 * COLLAPSED},
    "worsening": {"score": 2.2},
    "exploding": {"means": replace(WELL, gradient_d=2 * EXPLODED)},
    "discriminator_won": {"means": replace(WELL, gradient_g=0.5 * FADED)},
}


@pytest.mark.parametrize("kind", BAD)
def test_a_rule_stands_after_three_evaluations(kind: str) -> None:
    run = Run()
    run.evaluate(5)
    run.evaluate(2, **BAD[kind])  # type: ignore[arg-type]
    assert (run.standing, list(run.memory.held)) == ([], [kind])
    run.evaluate(**BAD[kind])  # type: ignore[arg-type]
    assert run.standing == [kind]
    run.evaluate()
    assert (run.standing, run.memory.held) == ([], {})


@pytest.mark.parametrize("kind", BAD)
def test_a_rule_that_holds_now_and_then_never_stands(kind: str) -> None:
    run = Run()
    run.evaluate(5)
    for _ in range(5):
        run.evaluate(2, **BAD[kind])  # type: ignore[arg-type]
        run.evaluate()
        assert run.standing == []


def test_evaluations_close_together_have_to_make_a_twentieth_of_the_run() -> None:
    rules, memory = replace(RULES, total=10_000), Run().memory.model_copy(update={"diverse": True})
    for images in range(1000, 1500, 100):
        memory = look(rules, memory, Seen(images, 0.0))
        assert memory.standing == ()
    assert look(rules, memory, Seen(1500, 0.0)).standing != ()


def test_without_scores_refuges_lie_a_few_hundredths_of_the_run_apart() -> None:
    rules = replace(RULES, total=1000)
    memory, refuges = Memory(), []
    for images in range(2, 100, 2):
        memory = look(rules, memory, Seen(images, 0.9))
        refuges.append(memory.refuge.images)
    assert sorted(set(refuges)) == [0, 30, 60, 90]


def test_a_young_run_is_left_alone() -> None:
    memory = Memory()
    for images in range(1, 10):
        memory = look(RULES, memory, Seen(images, 0.0))
    assert (memory.held, memory.refuge) == ({}, Position(0, 9))


def test_a_generator_that_has_never_painted_different_images_has_a_tenth_of_the_run() -> None:
    memory = Memory()
    begun = int(GRACE * 1000)
    for images in range(20, begun, 20):
        memory = look(replace(RULES, total=1000), memory, Seen(images, 0.0))
        assert memory.held == {}
    assert "collapsed" in look(replace(RULES, total=1000), memory, Seen(begun, 0.0)).held


def test_gradients_that_adam_cannot_see_need_no_history() -> None:
    run = Run()
    run.evaluate(3, means=replace(WELL, gradient_g=0.0))
    assert run.standing == ["discriminator_won"]
    assert "too small to move it" in run.memory.standing[0].seen


def test_what_is_not_measured_neither_goes_on_nor_ends() -> None:
    run = Run()
    run.evaluate(5)
    run.evaluate(3, score=3.0)
    assert run.standing == ["worsening"]
    run.evaluate(score=0)
    assert run.standing == ["worsening"]
    assert run.memory.held["worsening"].evaluations == 3


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
    assert ("worsening" in run.memory.held) == worse


def test_where_higher_is_better_half_the_best_is_worse() -> None:
    memory = Memory()
    for images, value in ((20, 0.2), (24, 0.8), (28, 0.5), (32, 0.3)):
        score = Score(value=value, protocol="p", lower_is_better=False)
        memory = look(RULES, memory, Seen(images, 0.9, score))
        assert ("worsening" in memory.held) == (value == 0.3)


def test_another_protocol_begins_anew() -> None:
    run = Run()
    run.evaluate(3)
    run.evaluate(3, score=3.0)
    assert run.standing == ["worsening"]
    first = Score(value=99.0, protocol="other")
    memory = look(RULES, run.memory, Seen(40, 0.9, first))
    assert (memory.held, memory.standing, memory.refuge) == ({}, (), Position(0, 40))
    assert memory.first == memory.best == first
    memory = look(RULES, memory, Seen(44, 0.9, Score(value=200.0, protocol="other")))
    assert list(memory.held) == ["worsening"]
    assert look(RULES, memory, Seen(48, 0.9, Score(value=9.0, protocol="other"))).refuge == Position(0, 48)


def test_after_a_rollback_the_rules_start_over_with_gentler_settings() -> None:
    run = Run()
    run.evaluate(5)
    refuge = run.memory
    run.evaluate(3, diversity=0.0)
    memory = gone_back(refuge, run.memory.rollbacks + 1, None)
    assert (memory.rate, memory.penalty, memory.held, memory.standing) == (0.5, 2.0, {}, ())
    assert memory.usual == refuge.usual
    assert memory.gentleness() == {"rollbacks": 1, "lr_factor": 0.5, "penalty_factor": 2.0}


def test_a_memory_survives_json() -> None:
    run = Run()
    run.evaluate(5)
    run.evaluate(3, diversity=0.0)
    assert Memory.model_validate_json(run.memory.model_dump_json()) == run.memory


def test_gradients_are_told_as_multiples_of_what_is_usual() -> None:
    run = Run()
    run.evaluate(3)
    memory, _ = note_tick(run.memory, replace(WELL, gradient_d=3.0, gradient_g=0.5))
    assert watched(memory, Seen(40, 0.7)) == {"diversity": 0.7, "gradient_d": 3.0, "gradient_g": 0.5}
    assert watched(Memory(), Seen(40, 0.7)) == {"diversity": 0.7, "gradient_d": None, "gradient_g": None}


def test_the_presets_of_courses_and_every_minimax_act_on_numbers_only() -> None:
    collapsed = look(RULES, Memory(diverse=True), Seen(50, 0.0)).model_copy()
    for _ in range(3):
        collapsed = look(RULES, collapsed, Seen(60, 0.0))
    (finding,) = collapsed.standing
    broken = note_weights(("x",))
    assert broken is not None
    for preset, acts in (("mlp-mnist", False), ("minimax", False), ("quick-28", True), ("wgan-gp", True)):
        rules = Rules.of(tiny(preset), 6000)
        assert (rules.act_on(finding), rules.act_on(broken)) == (acts, True)
    assert not Rules.of(tiny("dcgan-28", loss="minimax"), 6000).acts
