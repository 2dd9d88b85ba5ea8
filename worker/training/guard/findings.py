"""The rules by which a training is judged, on plain values of one evaluation; `guard` remembers and decides."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final, Literal, Self

from models.config.training import TrainingConfig
from models.config.values import Frozen
from models.objectives.losses import LOSSES
from models.scores import Score

Kind = Literal["diverged", "exploding", "discriminator_won", "collapsed", "worsening"]

# Rounds in which only numbers count: networks that have hardly begun are alike in everything else.
YOUNG: Final = 500
# Of the run: a generator that never painted different images has so long to begin with it.
GRACE: Final = 0.1

# Mean distance between generated images, of that between real ones. Twenty seeds of quick-28 on MNIST had 0.76 and more
# after the first tenth of 260 kimg, and 0.37 to 0.44 untrained; at 10 kimg they have 0.13 to 0.21, which is why young
# runs are left alone. A generator that paints the same image, whatever it is given, is near 0.
COLLAPSED: Final = 0.1
# Of the usual norm of a network's gradients. Medians between two evaluations of those twenty seeds were 0.29 to 5.1
# times what was usual for the generator, and at most 2.1 times for the discriminator.
EXPLODED: Final = 1000.0
FADED: Final = 0.001
# Adam divides by the root of the mean square plus 1e-8: gradients below that move nothing any more.
STILL: Final = 1e-8
# Times the best score (or a part of it, where higher is better): StudioGAN's DCGAN on CIFAR-10 decays from an FID of 49
# to 137, while scores on 2,000 samples differ from one evaluation to the next by a tenth or two.
WORSE: Final = 2.0
# Of what the run has gained since its first score: where scores may be 0 or less (KID), multiples say nothing.
LOST: Final = 0.1


class Finding(Frozen):
    """A rule that has held for long enough, and what was seen, as the middle of a sentence."""

    kind: Kind
    seen: str


@dataclass(frozen=True)
class Rules:
    """What a run's configuration makes of the rules; all lengths in real images.

    Attributes:
        acts: whether anything but numbers that are not finite is acted on; else it is only told.
        total: the run's length.
        young: only numbers count before this position.
        parameters: of the generator.
    """

    acts: bool
    total: int
    young: int
    parameters: int

    @classmethod
    def of(cls, config: TrainingConfig, count: int) -> Self:
        """Take them out of a configuration for a data set of `count` images."""
        return cls(
            # A minimax generator's gradient fades whenever the discriminator is ahead: that is what it shows.
            acts=config.guard == "full" and not LOSSES.get(config.loss).fades,
            total=config.total_images(count),
            young=YOUNG * config.batch_size * config.discriminator.steps,
            parameters=config.generator_config().parameters(),
        )

    def act_on(self, finding: Finding) -> bool:
        """Tell whether a finding ends in a rollback."""
        return self.acts or finding.kind == "diverged"


@dataclass(frozen=True)
class Measured:
    """What the rules look at; None where it was not measured this time."""

    images: int
    gradients: tuple[float, float] | None
    diversity: float | None
    score: Score | None

    def missing(self) -> set[Kind]:
        """Name the rules that cannot be told of now."""
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
        diverse: whether the generator has ever painted different images.
        usual: norms of gradients, for the discriminator and the generator; None until enough is known.
        first: the first score.
        best: the best one.
    """

    diverse: bool
    usual: tuple[float, float] | None
    first: Score | None
    best: Score | None


def find(rules: Rules, before: Before, measured: Measured) -> Iterator[Finding]:
    """Tell which rules hold at an evaluation."""
    diversity, score = measured.diversity, measured.score
    if measured.gradients is not None:
        yield from _gradients(rules, measured.gradients, before.usual)
    begun = before.diverse or measured.images >= GRACE * rules.total
    if diversity is not None and diversity < COLLAPSED and begun:
        told = f"images of different latents differ by {diversity:.0%} of what real images differ by"
        yield Finding(kind="collapsed", seen=told)
    if score is not None and before.first is not None and before.best is not None:
        yield from _worsening(score, before.first, before.best)


def _gradients(rules: Rules, now: tuple[float, float], usual: tuple[float, float] | None) -> Iterator[Finding]:
    told = "the generator learns nothing from the discriminator any more: its gradient is"
    if now[1] < STILL * math.sqrt(rules.parameters):
        yield Finding(kind="discriminator_won", seen=f"{told} {now[1]:.1e}, too small to move it")
    elif usual is not None and now[1] < FADED * usual[1]:
        yield Finding(kind="discriminator_won", seen=f"{told} {now[1]:.1e}, usually it was {usual[1]:.1e}")
    if usual is None:
        return
    for name, norm, before in zip(("discriminator", "generator"), now, usual, strict=True):
        if norm > EXPLODED * before:
            yield Finding(kind="exploding", seen=f"the {name}'s gradient is {norm:.1e}, usually it was {before:.1e}")
            return


def _worsening(score: Score, first: Score, best: Score) -> Iterator[Finding]:
    lost = (score.value - best.value) if score.lower_is_better else (best.value - score.value)
    # Higher is better: half the best is as bad as twice the best is where lower is better.
    room = abs(best.value) * ((WORSE - 1) if score.lower_is_better else (1 - 1 / WORSE))
    if lost > max(room, LOST * abs(best.value - first.value)):
        yield Finding(kind="worsening", seen=f"the score is {score.value:.4g}, at its best it was {best.value:.4g}")
