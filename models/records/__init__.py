"""Rows: runs, publications, workers, keys, in SQLite or PostgreSQL. Files are the business of `models.directory`,
`models.publishing` and `models.artefacts`.

Every method may be called from any thread, and raises `RecordsUnavailable` when the database is away.
"""

from __future__ import annotations

from models.records.errors import (
    Fenced,
    IdempotencyConflict,
    InvalidCursor,
    InvalidLength,
    LeaseLost,
    RecordsError,
    RecordsUnavailable,
    UnknownRun,
    WrongState,
)
from models.records.keys import Keys, hash_key
from models.records.leases import Leases
from models.records.publications import Publications
from models.records.runs import Runs
from models.records.values import (
    SCOPES,
    STATES,
    Key,
    KeyRecord,
    Lease,
    Outcome,
    Publication,
    Run,
    Scope,
    State,
    Wanted,
    Worker,
)
from models.records.workers import Workers

__all__ = [
    "SCOPES",
    "STATES",
    "Fenced",
    "IdempotencyConflict",
    "InvalidCursor",
    "InvalidLength",
    "Key",
    "KeyRecord",
    "Lease",
    "LeaseLost",
    "Outcome",
    "Publication",
    "Records",
    "RecordsError",
    "RecordsUnavailable",
    "Run",
    "Scope",
    "State",
    "UnknownRun",
    "Wanted",
    "Worker",
    "WrongState",
    "hash_key",
]


class Records(Runs, Leases, Publications, Workers, Keys):
    """Everything that rows are needed for."""
