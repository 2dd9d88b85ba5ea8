"""Contents of ticks and events, as the API and the page read them.

Files of earlier versions of the program have fewer keys, and methods may report terms of their own: unlisted keys are
passed on unchanged.
"""

from __future__ import annotations

from typing import Annotated, Required

from pydantic import ConfigDict, Field, with_config
from typing_extensions import TypedDict

from models.scores import Score
from models.verdicts import VerdictName

_OPEN = ConfigDict(extra="allow")


@with_config(_OPEN)
class Tick(TypedDict, total=False):
    """One progress report: a position, the means of all steps since the last tick, and the speed."""

    images: Required[int]
    kimg: Required[float]
    total_kimg: float
    epoch: float
    fraction: Annotated[float, Field(description="of the run's length")]
    loss_d: Annotated[float, Field(description="what the discriminator minimises, its penalty left out")]
    loss_d_real: Annotated[float | None, Field(description="its part on real images; null where there are no parts")]
    loss_d_fake: Annotated[float | None, Field(description="its part on generated images")]
    loss_g: Annotated[float, Field(description="what the generator minimises")]
    loss_projected_d: Annotated[
        float | None, Field(description="hinge loss of the discriminator on frozen features, summed over its scales")
    ]
    loss_projected_g: Annotated[
        float | None, Field(description="what the generator minimises there, before its weight; summed over scales")
    ]
    loss_codes: Annotated[
        float | None, Field(description="distance of images generated from codes to their real ones, before its weight")
    ]
    d_real: Annotated[float | None, Field(description="mean D(x); null where the loss has no probabilities")]
    d_fake: Annotated[float | None, Field(description="mean D(G(z)) before the discriminator's update")]
    d_fake_after: Annotated[float | None, Field(description="mean D(G(z)) after it, in the generator's steps")]
    penalty: Annotated[float | None, Field(description="weighted, as it was added; null where there is none")]
    gradient_d: Annotated[float | None, Field(description="norm of the discriminator's gradients in the last step")]
    gradient_g: Annotated[float | None, Field(description="norm of the generator's gradients in the last step")]
    gradient_projected: Annotated[
        float | None, Field(description="norm of the gradients of the discriminator on frozen features")
    ]
    augment_p: Annotated[float | None, Field(description="probability of each change; null without augmentation")]
    rollbacks: Annotated[int, Field(description="how often the guard has taken the run back")]
    lr_factor: Annotated[float, Field(description="by which rollbacks have changed learning rates")]
    penalty_factor: Annotated[float, Field(description="by which rollbacks have changed the penalty")]
    images_per_second: float
    eta_seconds: Annotated[float | None, Field(description="null while warming up")]
    sentence: Annotated[str, Field(description="what the figures mean")]
    time: str


@with_config(_OPEN)
class StateData(TypedDict, total=False):
    """A change of a run's state, as its worker wrote it."""

    state: Required[str]
    error: str | None
    failures: int


@with_config(_OPEN)
class SnapshotData(TypedDict, total=False):
    """A snapshot was taken."""

    images: int
    kimg: Required[float]
    picture: str
    watched: Annotated[dict[str, float | None], Field(description="what the guard's rules look at")]


@with_config(_OPEN)
class ScoreData(TypedDict, total=False):
    """A snapshot was evaluated."""

    images: int
    kimg: Required[float]
    chosen: Annotated[str, Field(description="the score that selects the best snapshot")]
    scores: Required[dict[str, Score]]
    shares: dict[str, float]
    expected: dict[str, float]


@with_config(_OPEN)
class HealthData(TypedDict, total=False):
    """The guard's verdict has changed."""

    verdict: Required[VerdictName]
    reasons: Required[list[str]]
    sentence: str
    rolled_back_to: Annotated[float, Field(description="kimg; only where the run was taken back")]


@with_config(_OPEN)
class PublishedData(TypedDict, total=False):
    """A version was published."""

    model: Required[str]
    version: Required[int]
    ref: str
    images: int
    kimg: float


@with_config(_OPEN)
class LogData(TypedDict, total=False):
    """A line was written into the log."""

    message: Required[str]


class RunEvents(TypedDict):
    """The data of each type of event; in a stream it has the `run` and the `time` beside it."""

    state: StateData
    tick: Tick
    snapshot: SnapshotData
    score: ScoreData
    health: HealthData
    published: PublishedData
    log: LogData
