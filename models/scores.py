"""Scores of generators, and the rule that selects the best one."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Annotated, Any, Final, Self

from pydantic import ConfigDict, Field, model_validator

from models.config.values import Frozen

# Name of the share of pairs in which a sample is nearer to training images than a held-out image is.
MEMORISATION: Final = "memorisation"
# Share beyond which a generator copies: exact copies have 1, images of a healthy run of 36 kimg on flowers 0.1.
MEMORISER: Final = 0.8

Finite = Annotated[float, Field(allow_inf_nan=False)]


def _is_none(value: object) -> bool:
    return value is None


class _Stored(Frozen):
    """A value whose stored names (the aliases) differ from those of its attributes."""

    model_config = ConfigDict(validate_by_name=True, validate_by_alias=True, serialize_by_alias=True)


class Score(_Stored):
    """One measured value with the protocol that measured it: features, sample counts and which images were compared.

    Attributes:
        baseline: the same measure between real images and other real images; stored as `floor`.
        deviation: standard deviation over blocks of the samples.
    """

    value: Finite
    protocol: Annotated[str, Field(min_length=1)]
    lower_is_better: bool = True
    baseline: Annotated[
        Finite | None, Field(alias="floor", description="what real images score against real ones", exclude_if=_is_none)
    ] = None
    deviation: Annotated[
        Finite | None, Field(description="standard deviation over blocks of the samples", exclude_if=_is_none)
    ] = None


class Evaluation(_Stored):
    """Scores of the averaged generator at a position of its run.

    Attributes:
        images: the position, in real images shown to the discriminator.
        primary: the name of the score that selects the best snapshot; stored as `chosen`.
        scores: by name, the primary one first; those of the larger, last evaluation end in `_final`.
        shares: share of the samples in each class, as the classifier labels them; empty, or they sum to 1.
        expected: the same shares of the data's own labels.
    """

    images: Annotated[int, Field(ge=0)]
    primary: Annotated[str, Field(alias="chosen")]
    scores: dict[str, Score]
    shares: dict[str, float] = Field(default_factory=dict)
    expected: dict[str, float] = Field(default_factory=dict)

    @model_validator(mode="after")
    def _primary_first(self) -> Self:
        if next(iter(self.scores), None) != self.primary:
            raise ValueError(f"scores must begin with the score that selects the best snapshot, {self.primary}")
        return self

    @property
    def score(self) -> Score:
        """The primary score."""
        return self.scores[self.primary]

    def event(self) -> dict[str, Any]:
        """Return the data of a `score` event."""
        return {"kimg": self.images / 1000, **self.model_dump(mode="json")}


class EvaluationSchedule(_Stored):
    """How often and by which scores a run is evaluated; fixed at its first start.

    Attributes:
        every: snapshots between two evaluations; 0: only at publications and at the end.
        publications: whether a generator is evaluated before it is published.
        final: whether the end is also evaluated on 10,000 samples.
        classifier: whether scores on a classifier of the data are measured.
        inception: whether scores on Inception's features are measured.
        efficientnet: whether scores on the packaged features are measured.
        primary: the name of the score that selects the best snapshot; stored as `chosen`.
        share: expected share of the training's time.
    """

    every: int
    publications: bool
    final: bool
    classifier: bool
    inception: bool
    efficientnet: bool = False
    primary: Annotated[str, Field(alias="chosen")]
    share: float


def memorises(scores: Mapping[str, Score]) -> bool:
    """Check whether the images that were scored are copies of training images more often than not."""
    score = scores.get(MEMORISATION)
    return score is not None and score.value > MEMORISER


def comparable(left: Score, right: Score) -> bool:
    """Check whether two scores were measured by the same protocol; no others may be compared."""
    return left.protocol == right.protocol


def improves(score: Score, best: Score | None) -> bool:
    """Check whether a score is strictly better than the best so far; what is not comparable is no rival."""
    if best is None or not comparable(score, best):
        return True
    return score.value < best.value if score.lower_is_better else score.value > best.value


def is_best(score: Score, others: Iterable[Score]) -> bool:
    """Check whether a score is strictly better than every comparable one."""
    return all(improves(score, other) for other in others)


def best_evaluation(evaluations: Iterable[Evaluation]) -> Evaluation | None:
    """Return the best evaluation of a run, given oldest first; None if there are none.

    One that memorises is the best only where all of them do.
    """
    given = list(evaluations)
    ordered = [evaluation for evaluation in given if not memorises(evaluation.scores)] or given
    best: Evaluation | None = None
    for evaluation in ordered:
        if not comparable(evaluation.score, ordered[-1].score):
            continue
        if improves(evaluation.score, None if best is None else best.score):
            best = evaluation
    return best
