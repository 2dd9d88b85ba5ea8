"""Findings: the rules by which the guard judges a training, on plain values of one evaluation.

How long a rule has to hold is in `worker.training.guard.guard`.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final, Self

from pydantic import ConfigDict, Field

from models.config.training import TrainingConfig
from models.config.values import Frozen
from models.objectives.losses import LOSSES
from models.scores import Score
from models.verdicts import Kind, Verdict

ADVERSARIES: Final = ("discriminator", "generator")

# Rounds in which only numbers that are not finite count: nothing else says much about networks so young.
YOUNG: Final = 500
# Share of the run that a generator has to begin to make different images.
GRACE: Final = 0.1

# Mean distance between generated images, of that between real ones. Twenty seeds of quick-28 on MNIST had 0.76 and more
# after the first tenth of 260 kimg, and 0.37 to 0.44 untrained; at 10 kimg they have 0.13 to 0.21, which is why young
# runs are left alone. A generator that makes the same image of every latent is near 0.
COLLAPSED: Final = 0.1
# Of the usual norm of a network's gradients. Medians between two evaluations of those twenty seeds were 0.29 to 5.1
# times what was usual for the generator, and at most 2.1 times for the discriminator.
EXPLODED: Final = 1000.0
FADED: Final = 0.001
# Adam divides by the root of the mean square plus 1e-8: gradients below that move nothing any more.
STILL: Final = 1e-8
# Multiple of the best score (its inverse where higher is better): StudioGAN's DCGAN on CIFAR-10 decays from FID 49
# to 137, while scores on 2,000 samples differ from one evaluation to the next by a tenth or two.
WORSE: Final = 2.0
# Of what the run has gained since its first score: where scores may be 0 or less (KID), multiples say nothing.
LOST: Final = 0.1


class Finding(Frozen):
    """A rule that has held for long enough, and its evidence, as the middle of a sentence."""

    model_config = ConfigDict(validate_by_name=True, validate_by_alias=True, serialize_by_alias=True)

    kind: Kind
    # Checkpoints store it as `seen`.
    evidence: str = Field(alias="seen")


@dataclass(frozen=True)
class Health:
    """A verdict, its reasons as sentences, and one sentence on what the figures of the tick mean."""

    verdict: Verdict
    reasons: tuple[str, ...] = ()
    sentence: str = ""

    def after(self, findings: Sequence[Finding]) -> Health:
        if not findings:
            return self
        reasons = (*(f"{finding.evidence[0].upper()}{finding.evidence[1:]}" for finding in findings), *self.reasons)
        return Health(findings[0].kind, reasons, self.sentence)


@dataclass(frozen=True)
class Rules:
    """Settings of the rules for one run; all lengths in real images.

    Attributes:
        acts: whether every finding leads to a rollback; otherwise only numbers that are not finite do.
        young: only numbers that are not finite count before this position.
        parameters: number of the generator's parameters.
        networks: names of the guarded optimizers, in the order of their gradients' norms.
        conditional: whether classes are learned apart.
    """

    acts: bool
    total: int
    young: int
    parameters: int
    networks: tuple[str, ...] = ADVERSARIES
    conditional: bool = False

    @classmethod
    def of(cls, config: TrainingConfig, count: int, networks: tuple[str, ...] = ADVERSARIES) -> Self:
        return cls(
            # A minimax generator's gradient fades whenever the discriminator is ahead: expected, no failure.
            acts=config.guard == "full" and not LOSSES.get(config.loss).fades,
            total=config.total_images(count),
            young=YOUNG * config.batch_size * config.discriminator.steps,
            parameters=config.generator_config().parameters(),
            networks=networks,
            conditional=config.conditional,
        )

    def act_on(self, finding: Finding) -> bool:
        return self.acts or finding.kind == "diverged"


@dataclass(frozen=True)
class Measured:
    """The values that the rules judge; None where one was not measured this time."""

    images: int
    gradients: tuple[float, ...] | None
    diversity: float | None
    score: Score | None

    def missing(self) -> set[Kind]:
        kinds: dict[Kind, object] = {
            "exploding": self.gradients,
            "discriminator_won": self.gradients,
            "collapsed": self.diversity,
            "worsening": self.score,
        }
        return {kind for kind, value in kinds.items() if value is None}


@dataclass(frozen=True)
class Before:
    """What was known before an evaluation.

    Attributes:
        diverse: whether the generator has ever made different images.
        usual: norms of gradients, of each guarded optimizer; None until enough is known.
    """

    diverse: bool
    usual: tuple[float, ...] | None
    first: Score | None
    best: Score | None


def find(rules: Rules, before: Before, measured: Measured) -> Iterator[Finding]:
    diversity, score = measured.diversity, measured.score
    if measured.gradients is not None:
        # Only a pair of adversaries has a generator that learns from the other network.
        if rules.networks == ADVERSARIES:
            usual = None if before.usual is None else before.usual[1]
            yield from _discriminator_won(rules, measured.gradients[1], usual)
        yield from _exploding(rules, measured.gradients, before.usual)
    # Generators often make nearly equal images early in a run, and recover.
    begun = before.diverse or measured.images >= GRACE * rules.total
    if diversity is not None and diversity < COLLAPSED and begun:
        yield Finding(kind="collapsed", evidence=alike(diversity, conditional=rules.conditional))
    if score is not None and before.first is not None and before.best is not None:
        yield from _worsening(score, before.first, before.best)


def alike(diversity: float, *, conditional: bool) -> str:
    """Return the evidence of a collapse, and where classes are learned apart, that they need not be."""
    evidence = f"images of different latents differ by {diversity:.0%} of what real images differ by"
    if not conditional:
        return evidence
    return f"{evidence}, within a class: learning without classes (conditional=false) collapses less often"


def _discriminator_won(rules: Rules, norm: float, usual: float | None) -> Iterator[Finding]:
    evidence = "the generator learns nothing from the discriminator any more: its gradient is"
    # A norm is the root mean square of its values, times the root of their number.
    if norm < STILL * math.sqrt(rules.parameters):
        yield Finding(kind="discriminator_won", evidence=f"{evidence} {norm:.1e}, too small to move it")
    elif usual is not None and norm < FADED * usual:
        yield Finding(kind="discriminator_won", evidence=f"{evidence} {norm:.1e}, usually it was {usual:.1e}")


def _exploding(rules: Rules, norms: tuple[float, ...], usual: tuple[float, ...] | None) -> Iterator[Finding]:
    if usual is None:
        return
    for name, norm, before in zip(rules.networks, norms, usual, strict=True):
        # One finding is enough: the other network usually follows.
        if norm > EXPLODED * before:
            evidence = f"the {name}'s gradient is {norm:.1e}, usually it was {before:.1e}"
            yield Finding(kind="exploding", evidence=evidence)
            return


def _worsening(score: Score, first: Score, best: Score) -> Iterator[Finding]:
    lost = (score.value - best.value) if score.lower_is_better else (best.value - score.value)
    # Higher is better: half the best is as bad as twice the best is where lower is better.
    room = abs(best.value) * ((WORSE - 1) if score.lower_is_better else (1 - 1 / WORSE))
    # Both bounds: multiples mean nothing near 0, and gains mean nothing soon after the first score.
    if lost > max(room, LOST * abs(best.value - first.value)):
        yield Finding(kind="worsening", evidence=f"the score is {score.value:.4g}, at its best it was {best.value:.4g}")
