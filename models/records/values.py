"""Values of rows (immutable, detached from the database), and the errors that `Records` raises."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal, NamedTuple, get_args

from models.config.resolved import ResolvedRow

State = Literal["queued", "running", "paused", "succeeded", "failed", "cancelled"]
Wanted = Literal["paused", "cancelled"]
Outcome = Literal["succeeded", "failed", "cancelled", "paused", "queued"]
DatasetState = Literal["preparing", "ready", "failed"]
ClaimKind = Literal["run", "dataset"]
Scope = Literal["sample", "train", "admin"]

STATES: tuple[State, ...] = get_args(State)
DATASET_STATES: tuple[DatasetState, ...] = get_args(DatasetState)
SCOPES: tuple[Scope, ...] = get_args(Scope)
ENDED: tuple[State, ...] = ("succeeded", "failed", "cancelled")
MAX_FAILURES = 3


@dataclass(frozen=True)
class Claim:
    """A worker's right to change a run or data set, until the row is released or claimed under another token."""

    kind: ClaimKind
    id: str
    # The fencing token: each claim of a row raises it by one.
    token: int

    def __str__(self) -> str:
        return f"{'run' if self.kind == 'run' else 'data set'} {self.id}"


@dataclass(frozen=True)
class Run:
    """One training job, as its row was when it was read. Times are aware, in UTC."""

    id: str
    state: State
    wanted: Wanted | None
    request: dict[str, Any]
    config: dict[str, Any]
    preset: str
    dataset: str
    model: str
    devices: int
    token: int
    beat: int
    failures: int
    worker: str | None
    resolved: ResolvedRow
    error: str | None
    created_at: datetime
    queued_at: datetime
    started_at: datetime | None
    ended_at: datetime | None

    @property
    def claim(self) -> Claim:
        """The claim of the newest token."""
        return Claim("run", self.id, self.token)


@dataclass(frozen=True)
class Dataset:
    """One uploaded data set, as its row was when it was read. Times are aware, in UTC."""

    id: str
    name: str
    state: DatasetState
    options: dict[str, Any]
    bytes: int
    token: int
    beat: int
    failures: int
    worker: str | None
    done: int
    total: int
    report: dict[str, Any]
    error: str | None
    created_at: datetime
    ended_at: datetime | None

    @property
    def claim(self) -> Claim:
        """The claim of the newest token."""
        return Claim("dataset", self.id, self.token)


@dataclass(frozen=True)
class LeaseState:
    """A claimed row as it was when it was read: its claim, the beats so far, and the worker's name."""

    claim: Claim
    beat: int
    worker: str | None


class Publication(NamedTuple):
    """A version number allocated to a run at a position, counted in images."""

    images: int
    model: str
    version: int


@dataclass(frozen=True)
class Worker:
    """A worker process; `seen_at` is for display only."""

    id: str
    host: str
    pid: int
    devices: int
    queue: str
    started_at: datetime
    seen_at: datetime


@dataclass(frozen=True)
class Key:
    """An API key as its owner may see it; the secret itself is stored nowhere."""

    id: str
    name: str
    scopes: tuple[Scope, ...]
    created_at: datetime


@dataclass(frozen=True)
class KeyRecord:
    """The data that verifies a key: the sha256 of the whole key, in hexadecimal."""

    id: str
    name: str
    hash: str
    scopes: tuple[Scope, ...]


class RecordsError(Exception):
    """Base of the errors that `Records` raises."""


class RecordsUnavailable(RecordsError):
    """The database cannot be reached or cannot work now; the same call may succeed later."""


class UnknownRun(RecordsError, LookupError):
    """There is no run of that id."""


class WrongState(RecordsError):
    """The run's state does not allow the request."""

    def __init__(self, message: str, state: str) -> None:
        super().__init__(message)
        self.state = state


class UnknownDatasetRow(RecordsError, LookupError):
    """There is no uploaded data set of that name."""


class DatasetExists(RecordsError):
    """There is an uploaded data set of that name."""


class DatasetInUse(RecordsError):
    """A run that has not ended uses the data set."""


class IdempotencyConflict(RecordsError):
    """An idempotency key was used with another request."""


class InvalidCursor(RecordsError, ValueError):
    """A cursor that no list has returned."""


class InvalidLength(RecordsError, ValueError):
    """The new length of a resumed run cannot be used."""


class ClaimLost(RecordsError):
    """A claim no longer holds its run or data set: stop working on it, publish nothing."""

    def __init__(self, claim: Claim) -> None:
        super().__init__(f"{claim} is no longer held under token {claim.token}")
        self.claim = claim
