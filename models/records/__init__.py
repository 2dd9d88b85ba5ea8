"""Rows: runs, data sets, publications, workers and keys, in SQLite or PostgreSQL.

Every method may be called from any thread, and raises `RecordsUnavailable` while the database is away.
"""

from __future__ import annotations

from models.records.claims import DatasetClaims, RunClaims, Workers
from models.records.database import new_id
from models.records.datasets import Datasets
from models.records.keys import Keys, hash_key
from models.records.publications import Publications
from models.records.runs import Runs
from models.records.values import (
    SCOPES,
    STATES,
    Claim,
    ClaimLost,
    Dataset,
    DatasetExists,
    DatasetInUse,
    DatasetState,
    IdempotencyConflict,
    InvalidCursor,
    InvalidLength,
    Key,
    KeyRecord,
    LeaseState,
    Outcome,
    Publication,
    RecordsError,
    RecordsUnavailable,
    Run,
    Scope,
    State,
    UnknownDatasetRow,
    UnknownRun,
    Wanted,
    Worker,
    WrongState,
)

__all__ = [
    "SCOPES",
    "STATES",
    "Claim",
    "ClaimLost",
    "Dataset",
    "DatasetExists",
    "DatasetInUse",
    "DatasetState",
    "IdempotencyConflict",
    "InvalidCursor",
    "InvalidLength",
    "Key",
    "KeyRecord",
    "LeaseState",
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


class Records(Runs, RunClaims, Datasets, DatasetClaims, Publications, Workers, Keys):
    """All rows, for the app and for workers."""
