"""The guard of a training: its state at fixed image counts, how long rules have to hold, where to roll back to.

Pure functions on an immutable state that is part of every checkpoint; the rules are in `findings`.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import median
from typing import Final

from pydantic import ConfigDict, Field

from models.artifacts.attempts import Position
from models.config.values import Frozen
from models.scores import Score, comparable, improves
from models.verdicts import Kind
from worker.training.guard.findings import COLLAPSED, Before, Finding, Measured, Rules, find
from worker.training.guard.looks import Look

MAX_ROLLBACKS: Final = 3
# Each rollback multiplies all learning rates by this: half is the usual next guess, an eighth the last one.
LR_FACTOR: Final = 0.5
# Each rollback multiplies the weight of the penalty, if there is one, by this.
PENALTY_FACTOR: Final = 2.0

# A rule has to hold for this many evaluations in a row, and for this share of the run: a healthy run looks lost at
# times (the plain networks do for two of a hundred epochs) and recovers by itself.
EVALUATIONS: Final = 3
SHARE: Final = 0.05
# Share of the run between rollback checkpoints at least, where no score says that one is better than another.
APART: Final = 0.03
_REMEMBERED = 20  # evaluations whose median norms define the usual one
_ENOUGH = 3  # of them before anything is unusual


class Streak(Frozen):
    """The position since which a rule holds, and for how many evaluations in a row."""

    since: int
    evaluations: int


def _is_empty(value: tuple[object, ...]) -> bool:
    return not value


class GuardState(Frozen):
    """The state of the guard at a position.

    Attributes:
        ended: the length at which the guard ended the run with its best version; None before that.
        gradients: norms for each guarded optimizer, at each tick since the last evaluation.
        usual: medians of those at earlier evaluations at which no rule held.
        diverse: whether the generator has ever made different images.
        first, best: scores of the present protocol.
        streaks: rules that hold now.
        active: findings of the last evaluation: rules that have held for long enough.
        looks: what the images of the last snapshot look like, where something is wrong with them.
    """

    # Aliases are the names in checkpoints.
    model_config = ConfigDict(validate_by_name=True, validate_by_alias=True, serialize_by_alias=True)

    rollbacks: int = 0
    rolled_back_to: int = Field(default=0, alias="returned")
    rollback_target: Position = Field(default=Position(0, 0), alias="refuge")
    ended: int | None = None
    gradients: tuple[tuple[float, ...], ...] = ()
    usual: tuple[tuple[float, ...], ...] = ()
    diverse: bool = False
    first: Score | None = None
    best: Score | None = None
    streaks: dict[Kind, Streak] = Field(default_factory=dict, alias="held")
    active: tuple[Finding, ...] = Field(default=(), alias="standing")
    looks: tuple[Look, ...] = Field(default=(), exclude_if=_is_empty)

    @property
    def lr_factor(self) -> float:
        return float(LR_FACTOR**self.rollbacks)

    @property
    def penalty_factor(self) -> float:
        return float(PENALTY_FACTOR**self.rollbacks)

    def backoff(self) -> dict[str, float]:
        """Return the number of rollbacks and their factors, as clients read them."""
        return {"rollbacks": self.rollbacks, "lr_factor": self.lr_factor, "penalty_factor": self.penalty_factor}


@dataclass(frozen=True)
class Observation:
    """Measurements at a snapshot.

    Attributes:
        diversity: of the fixed samples, as a share of that of real images; None where those are all alike.
        score: the chosen one; None where there was none.
    """

    images: int
    diversity: float | None = None
    score: Score | None = None


def check_tick(
    state: GuardState, figures: Mapping[str, float | None], gradients: Sequence[str]
) -> tuple[GuardState, Finding | None]:
    """Record the norms of a tick's gradients by their names; return a finding if a figure is not finite."""
    if not all(math.isfinite(value) for value in figures.values() if value is not None):
        return state, Finding(kind="diverged", evidence="a loss or a gradient is no longer a finite number")
    norms = tuple(norm for name in gradients if (norm := figures[name]) is not None)
    if len(norms) < len(gradients):
        return state, None
    return state.model_copy(update={"gradients": (*state.gradients, norms)}), None


def check_weights(broken: Sequence[str]) -> Finding | None:
    return Finding(kind="diverged", evidence=f"{broken[0]} holds numbers that are not finite") if broken else None


def observe(rules: Rules, state: GuardState, observation: Observation) -> GuardState:
    # Networks that have hardly begun: only the rollback target can change.
    if observation.images < rules.young:
        target = _here(state, observation) if _is_apart(rules, state, observation) else state.rollback_target
        return state.model_copy(update={"gradients": (), "rollback_target": target})
    diverse = state.diverse or observation.diversity is None or observation.diversity > COLLAPSED
    state = _comparable(state, observation.score).model_copy(update={"diverse": diverse})
    measured = Measured(observation.images, _typical(state), observation.diversity, observation.score)
    before = Before(state.diverse, _usual(state), state.first, state.best)
    findings = {finding.kind: finding for finding in find(rules, before, measured)}
    # A rule that was not measured this time neither holds for longer nor has ended.
    missing = measured.missing()
    streaks = {kind: streak for kind, streak in state.streaks.items() if kind in missing}
    streaks |= {kind: _longer(state.streaks.get(kind), observation.images) for kind in findings}
    active = [finding for finding in state.active if finding.kind in missing]
    active += [finding for kind, finding in findings.items() if _is_long(rules, streaks[kind], observation.images)]

    score, now = measured.score, measured.gradients
    is_best = score is not None and improves(score, state.best)
    # Without scores, any point at which no rule holds is good.
    is_good = is_best or (state.best is None and score is None and _is_apart(rules, state, observation))
    # A point at which some rule holds becomes neither a target nor part of what is usual: it may be failing already.
    return state.model_copy(
        update={
            "rollback_target": _here(state, observation) if is_good and not streaks else state.rollback_target,
            "gradients": (),
            "usual": state.usual if streaks or now is None else (*state.usual, now)[-_REMEMBERED:],
            "first": state.first or score,
            "best": score if is_best else state.best,
            "streaks": streaks,
            "active": tuple(active),
        }
    )


def after_rollback(checkpoint: GuardState, rollbacks: int, ended: int | None) -> GuardState:
    """Return the guard state with which a run continues after a rollback."""
    # Streaks and findings belong to the failed path. Rollbacks are counted on it, so that they come to an end.
    update: dict[str, object] = {
        "rollbacks": rollbacks,
        "rolled_back_to": checkpoint.rollback_target.images,
        "ended": ended,
        "streaks": {},
        "active": (),
        "looks": (),
    }
    return checkpoint.model_copy(update=update)


def monitored(state: GuardState, observation: Observation, gradients: Sequence[str]) -> dict[str, float | None]:
    """Return the values that the rules judge, for plots and calibration; `state` is the one before the observation.

    Norms of gradients are multiples of the usual ones; None until enough is known.
    """
    now, usual = _typical(state), _usual(state)
    if now is None or usual is None:
        ratios: tuple[float | None, ...] = (None,) * len(gradients)
    else:
        ratios = tuple(_ratio(*pair) for pair in zip(now, usual, strict=True))
    return {"diversity": observation.diversity, **dict(zip(gradients, ratios, strict=True))}


def _comparable(state: GuardState, score: Score | None) -> GuardState:
    if score is None or state.best is None or comparable(score, state.best):
        return state
    # Scores of another protocol are not comparable: drop them, and what followed from them.
    update: dict[str, object] = {
        "first": None,
        "best": None,
        "streaks": {kind: streak for kind, streak in state.streaks.items() if kind != "worsening"},
        "active": tuple(finding for finding in state.active if finding.kind != "worsening"),
    }
    return state.model_copy(update=update)


def _is_apart(rules: Rules, state: GuardState, observation: Observation) -> bool:
    # Each rollback checkpoint costs a copy of the whole state.
    return observation.images - state.rollback_target.images >= APART * rules.total


def _here(state: GuardState, observation: Observation) -> Position:
    return Position(state.rollbacks, observation.images)


def _typical(state: GuardState) -> tuple[float, ...] | None:
    return _medians(state.gradients) if state.gradients else None


def _usual(state: GuardState) -> tuple[float, ...] | None:
    return _medians(state.usual) if len(state.usual) >= _ENOUGH else None


def _medians(norms: tuple[tuple[float, ...], ...]) -> tuple[float, ...]:
    return tuple(median(column) for column in zip(*norms, strict=True))


def _ratio(now: float, usual: float) -> float | None:
    return now / usual if usual > 0 else None


def _longer(streak: Streak | None, images: int) -> Streak:
    if streak is None:
        return Streak(since=images, evaluations=1)
    return Streak(since=streak.since, evaluations=streak.evaluations + 1)


def _is_long(rules: Rules, streak: Streak, images: int) -> bool:
    return streak.evaluations >= EVALUATIONS and images - streak.since >= SHARE * rules.total
