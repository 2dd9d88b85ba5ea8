"""Watches over a training at fixed image counts: what it remembers, how long rules have to hold, where to go back to.

Pure functions on an immutable memory that is part of every checkpoint; the rules are in `findings`. The loop brings the
values and acts; where there are several ranks, one of them decides.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from statistics import median
from typing import Final

from pydantic import Field

from models.artifacts.attempts import Position
from models.config.values import Frozen
from models.scores import Score, comparable, improves
from worker.training.guard.findings import COLLAPSED, Before, Finding, Kind, Measured, Rules, find
from worker.training.reporting.telemetry import Means

MAX_ROLLBACKS: Final = 3
RATE: Final = 0.5
"""What each rollback multiplies both learning rates by: half of it is the usual next guess, an eighth the last one."""
PENALTY: Final = 2.0
"""What each rollback multiplies the penalty's weight by, where there is a penalty."""

# A rule has to hold for so many evaluations in a row, and for such a share of the run: a healthy run looks lost at
# times (the plain networks do for two of a hundred epochs) and comes back by itself.
EVALUATIONS: Final = 3
SHARE: Final = 0.05
# Of the run: so far apart, at least, are points to go back to that no score tells to be better than others.
APART: Final = 0.03
_REMEMBERED = 20  # evaluations whose gradients make what is usual
_ENOUGH = 3  # of them before anything is unusual


class Held(Frozen):
    """Since which position, and for how many evaluations in a row, a rule holds."""

    since: int
    evaluations: int


class Memory(Frozen):
    """What the guard knows of a run at a position; part of the checkpoint.

    Attributes:
        rollbacks: how often the run has gone back.
        returned: where it went back to last.
        refuge: where it would go back to now.
        ended: the length at which the guard ended the run with its best version; None before that.
        gradients: norms for the discriminator and the generator, at each tick since the last evaluation.
        usual: medians of those at earlier evaluations, while all was well.
        diverse: whether the generator has ever painted different images.
        first: the first score of this protocol.
        best: the best one.
        held: rules that hold now.
        standing: findings of the last evaluation.
    """

    rollbacks: int = 0
    returned: int = 0
    refuge: Position = Position(0, 0)
    ended: int | None = None
    gradients: tuple[tuple[float, float], ...] = ()
    usual: tuple[tuple[float, float], ...] = ()
    diverse: bool = False
    first: Score | None = None
    best: Score | None = None
    held: dict[Kind, Held] = Field(default_factory=dict)
    standing: tuple[Finding, ...] = ()

    @property
    def rate(self) -> float:
        """The factor on both learning rates."""
        return float(RATE**self.rollbacks)

    @property
    def penalty(self) -> float:
        """The factor on the penalty's weight."""
        return float(PENALTY**self.rollbacks)

    def gentleness(self) -> dict[str, float]:
        """Lay out what rollbacks have changed, as clients read it."""
        return {"rollbacks": self.rollbacks, "lr_factor": self.rate, "penalty_factor": self.penalty}


@dataclass(frozen=True)
class Seen:
    """What an evaluation brings.

    Attributes:
        images: the position.
        diversity: of the fixed samples, as a share of that of real images; None where those are all alike.
        score: the chosen one; None where there was none.
    """

    images: int
    diversity: float | None = None
    score: Score | None = None


def note_tick(memory: Memory, means: Means) -> tuple[Memory, Finding | None]:
    """Take in a tick; find numbers that are not finite."""
    if not means.finite:
        return memory, Finding(kind="diverged", seen="a loss or a gradient is no longer a finite number")
    if means.gradient_d is None or means.gradient_g is None:
        return memory, None
    return memory.model_copy(update={"gradients": (*memory.gradients, (means.gradient_d, means.gradient_g))}), None


def note_weights(broken: Sequence[str]) -> Finding | None:
    """Find numbers that are not finite, by the names of the tensors that hold some."""
    return Finding(kind="diverged", seen=f"{broken[0]} holds numbers that are not finite") if broken else None


def look(rules: Rules, memory: Memory, seen: Seen) -> Memory:
    """Take in an evaluation: what stands in the new memory are the rules that have held for long enough."""
    if seen.images < rules.young:
        refuge = _here(memory, seen) if _is_apart(rules, memory, seen) else memory.refuge
        return memory.model_copy(update={"gradients": (), "refuge": refuge})
    diverse = memory.diverse or seen.diversity is None or seen.diversity > COLLAPSED
    memory = _comparable(memory, seen.score).model_copy(update={"diverse": diverse})
    measured = Measured(seen.images, _typical(memory), seen.diversity, seen.score)
    before = Before(memory.diverse, _usual(memory), memory.first, memory.best)
    findings = {finding.kind: finding for finding in find(rules, before, measured)}
    # What was not measured this time neither holds for longer nor has ended.
    missing = measured.missing()
    held = {kind: hold for kind, hold in memory.held.items() if kind in missing}
    held |= {kind: _longer(memory.held.get(kind), seen.images) for kind in findings}
    standing = [finding for finding in memory.standing if finding.kind in missing]
    standing += [finding for kind, finding in findings.items() if _is_long(rules, held[kind], seen.images)]

    score, now = measured.score, measured.gradients
    is_best = score is not None and improves(score, memory.best)
    # Without scores any point is good at which no rule holds.
    is_good = is_best or (memory.best is None and score is None and _is_apart(rules, memory, seen))
    return memory.model_copy(
        update={
            "refuge": _here(memory, seen) if is_good and not held else memory.refuge,
            "gradients": (),
            "usual": memory.usual if held or now is None else (*memory.usual, now)[-_REMEMBERED:],
            "first": memory.first or score,
            "best": score if is_best else memory.best,
            "held": held,
            "standing": tuple(standing),
        }
    )


def gone_back(refuge: Memory, rollbacks: int, ended: int | None) -> Memory:
    """Give the memory to go on with after a rollback: that of the refuge, without what held there."""
    update: dict[str, object] = {
        "rollbacks": rollbacks,
        "returned": refuge.refuge.images,
        "ended": ended,
        "held": {},
        "standing": (),
    }
    return refuge.model_copy(update=update)


def watched(memory: Memory, seen: Seen) -> dict[str, float | None]:
    """Give what the rules look at, for people and for calibration; `memory` is that before the evaluation.

    Gradients are told as multiples of what is usual; null until enough is known.
    """
    now, usual = _typical(memory), _usual(memory)
    ratios = (None, None) if now is None or usual is None else (_ratio(now[0], usual[0]), _ratio(now[1], usual[1]))
    return {"diversity": seen.diversity, "gradient_d": ratios[0], "gradient_g": ratios[1]}


def _comparable(memory: Memory, score: Score | None) -> Memory:
    """Forget scores of another protocol than that of a new one, and what followed from them."""
    if score is None or memory.best is None or comparable(score, memory.best):
        return memory
    update: dict[str, object] = {
        "first": None,
        "best": None,
        "held": {kind: hold for kind, hold in memory.held.items() if kind != "worsening"},
        "standing": tuple(finding for finding in memory.standing if finding.kind != "worsening"),
    }
    return memory.model_copy(update=update)


def _is_apart(rules: Rules, memory: Memory, seen: Seen) -> bool:
    """Tell whether it is worth a copy of the state to go back to here rather than where the run would go now."""
    return seen.images - memory.refuge.images >= APART * rules.total


def _here(memory: Memory, seen: Seen) -> Position:
    return Position(memory.rollbacks, seen.images)


def _typical(memory: Memory) -> tuple[float, float] | None:
    """Give the median norms since the last evaluation."""
    return _medians(memory.gradients) if memory.gradients else None


def _usual(memory: Memory) -> tuple[float, float] | None:
    return _medians(memory.usual) if len(memory.usual) >= _ENOUGH else None


def _medians(pairs: tuple[tuple[float, float], ...]) -> tuple[float, float]:
    return median(pair[0] for pair in pairs), median(pair[1] for pair in pairs)


def _ratio(now: float, usual: float) -> float | None:
    return now / usual if usual > 0 else None


def _longer(held: Held | None, images: int) -> Held:
    if held is None:
        return Held(since=images, evaluations=1)
    return Held(since=held.since, evaluations=held.evaluations + 1)


def _is_long(rules: Rules, held: Held, images: int) -> bool:
    return held.evaluations >= EVALUATIONS and images - held.since >= SHARE * rules.total
