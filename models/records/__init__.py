"""Rows: runs, datasets, publications, workers, keys, in SQLite or PostgreSQL. Files are the business of
`models.store.local`, `models.store.publishing`, `models.artifacts` and `models.datasets`.

Every method may be called from any thread, and raises `RecordsUnavailable` when the database is away.
"""

from __future__ import annotations

from models.records.datasets import Datasets
from models.records.errors import (
    DatasetExists,
    DatasetInUse,
    Fenced,
    IdempotencyConflict,
    InvalidCursor,
    InvalidLength,
    LeaseLost,
    RecordsError,
    RecordsUnavailable,
    UnknownDatasetRow,
    UnknownRun,
    WrongState,
)
from models.records.keys import Keys, hash_key
from models.records.leases import Leases
from models.records.publications import Publications
from models.records.rows import new_id
from models.records.runs import Runs
from models.records.values import (
    SCOPES,
    STATES,
    Dataset,
    DatasetState,
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
    "Dataset",
    "DatasetExists",
    "DatasetInUse",
    "DatasetState",
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
    "UnknownDatasetRow",
    "UnknownRun",
    "Wanted",
    "Worker",
    "WrongState",
    "hash_key",
    "new_id",
]


class Records(Runs, Leases, Datasets, Publications, Workers, Keys):
    """Everything that rows are needed for."""
