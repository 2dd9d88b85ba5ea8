"""The values that records are read as: immutable, detached from the database."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal, NamedTuple, get_args

State = Literal["queued", "running", "paused", "succeeded", "failed", "cancelled"]
Wanted = Literal["paused", "cancelled"]
Outcome = Literal["succeeded", "failed", "cancelled", "paused", "queued"]
DatasetState = Literal["preparing", "ready", "failed"]
Scope = Literal["sample", "train", "admin"]

STATES: tuple[State, ...] = get_args(State)
DATASET_STATES: tuple[DatasetState, ...] = get_args(DatasetState)
SCOPES: tuple[Scope, ...] = get_args(Scope)
ENDED: tuple[State, ...] = ("succeeded", "failed", "cancelled")
MAX_FAILURES = 3


@dataclass(frozen=True)
class Run:
    """One training job, as its row stood when it was read. Times are aware, in UTC."""

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
    resolved: dict[str, Any]
    error: str | None
    created_at: datetime
    queued_at: datetime
    started_at: datetime | None
    ended_at: datetime | None


@dataclass(frozen=True)
class Dataset:
    """One uploaded data set, as its row stood when it was read. Times are aware, in UTC."""

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


@dataclass(frozen=True)
class Lease:
    """Who holds a running run or a data set in preparation, and how often the holder has said that it is alive."""

    id: str
    token: int
    beat: int
    worker: str | None


class Publication(NamedTuple):
    """A version number given to a run at a position, counted in images."""

    images: int
    model: str
    version: int


@dataclass(frozen=True)
class Worker:
    """A worker process that said it is there; `seen_at` is for people to read and decides nothing."""

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
    """What is needed to verify a key: the sha256 of the whole key, in hexadecimal."""

    id: str
    name: str
    hash: str
    scopes: tuple[Scope, ...]
