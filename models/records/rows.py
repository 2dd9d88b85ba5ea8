"""Rows of `runs` as values, and the parts of statements that more than one module needs."""

from __future__ import annotations

import secrets
import time

from sqlalchemy import Connection, Update, select
from sqlalchemy.engine import RowMapping

from models.records.schema import RunRow
from models.records.values import Run

RUN_COLUMNS = [column for column in RunRow.__table__.columns if column.name != "idempotency_key"]

# Crockford's base 32 in lower case: sorts as its numbers do.
_DIGITS = "0123456789abcdefghjkmnpqrstvwxyz"
_RANDOM_BITS = 75
ID_LENGTH = 26


def new_id() -> str:
    """Make an id that is unique and sorts by the microsecond it was made in: 55 bits of time, 75 of chance."""
    number = time.time_ns() // 1000 << _RANDOM_BITS | secrets.randbits(_RANDOM_BITS)
    return "".join(_DIGITS[number >> shift & 31] for shift in range(5 * (ID_LENGTH - 1), -1, -5))


def is_id(text: str) -> bool:
    """Say whether `text` could be an id."""
    return len(text) == ID_LENGTH and set(text) <= set(_DIGITS)


def to_run(row: RowMapping) -> Run:
    """Read a row of `RUN_COLUMNS`."""
    return Run(**row)


def find_run(connection: Connection, run_id: str) -> Run | None:
    """Read a run."""
    row = connection.execute(select(*RUN_COLUMNS).where(RunRow.id == run_id)).mappings().one_or_none()
    return to_run(row) if row is not None else None


def change_run(connection: Connection, statement: Update) -> Run | None:
    """Execute an update of at most one run and give it as it is then; None when the conditions did not hold."""
    row = connection.execute(statement.returning(*RUN_COLUMNS)).mappings().one_or_none()
    return to_run(row) if row is not None else None
