"""What an evaluation of a generator found: named scores, which of them decides, and the shares of the classes.

`worker.evaluation` measures; here is what its readers on both sides agree on.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Annotated, Any, Self

from pydantic import Field, model_validator

from models.config.training import Frozen
from models.store.manifest import Score


class Evaluation(Frozen):
    """Scores of the averaged generator at a position of its run.

    Attributes:
        images: the position, in real images shown to the discriminator.
        chosen: the name of the score that decides which snapshot is the best.
        scores: by name, the chosen one first; those of another number of samples end in `_final`.
        shares: of the samples in each class of the data, by its name, as a classifier sees them; they sum to 1.
        expected: the same of the data's labels.
    """

    images: Annotated[int, Field(ge=0)]
    chosen: str
    scores: dict[str, Score]
    shares: dict[str, float] = Field(default_factory=dict)
    expected: dict[str, float] = Field(default_factory=dict)

    @model_validator(mode="after")
    def _chosen_first(self) -> Self:
        if next(iter(self.scores), None) != self.chosen:
            raise ValueError(f"the chosen score, {self.chosen}, has to be there and to come first")
        return self

    @property
    def score(self) -> Score:
        """The score that decides."""
        return self.scores[self.chosen]

    def beats(self, other: Evaluation) -> bool:
        """Say whether this one is better; evaluations whose chosen scores differ in protocol cannot be compared."""
        return self.score.protocol == other.score.protocol and self.score.beats(other.score)

    def event(self) -> dict[str, Any]:
        """Lay it out as clients read it."""
        return {"kimg": self.images / 1000, **self.model_dump(mode="json")}


def best_of(evaluations: Iterable[Evaluation]) -> Evaluation | None:
    """Give the best of a run's evaluations, oldest first, that are like the newest; of equals the first."""
    ordered = list(evaluations)
    best: Evaluation | None = None
    for each in ordered:
        if each.score.protocol == ordered[-1].score.protocol and (best is None or each.beats(best)):
            best = each
    return best
