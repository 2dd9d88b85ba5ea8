"""Uploaded data sets: what users and the app do with them, and what the workers that prepare them do.

A row appears once its archive is on the disk, checked. While it is `preparing` a worker holds it as it would a run: by
a token that each claim raises, and a counter that beats.
"""

from __future__ import annotations

from typing import Any

from sqlalchemy import ColumnElement, Delete, Update, and_, case, delete, exists, insert, literal, select, update
from sqlalchemy.engine import RowMapping
from sqlalchemy.exc import IntegrityError

from models.datasets.uploads import KEPT_EVERY
from models.records.database import Database, storable, utc_now
from models.records.errors import DatasetExists, DatasetInUse, UnknownDatasetRow
from models.records.schema import DatasetRow, RunRow, UtcTime
from models.records.values import MAX_FAILURES, Dataset, Lease

COLUMNS = tuple(DatasetRow.__table__.columns)
LEASE_COLUMNS = (DatasetRow.id, DatasetRow.token, DatasetRow.beat, DatasetRow.worker)
UNFINISHED = ("queued", "running", "paused")


def _to_dataset(row: RowMapping) -> Dataset:
    return Dataset(**row)


def _held(dataset_id: str, token: int) -> ColumnElement[bool]:
    return and_(DatasetRow.id == dataset_id, DatasetRow.token == token, DatasetRow.worker.is_not(None))


def _died(reason: str) -> dict[str, Any]:
    failures = DatasetRow.failures + 1
    spent = failures >= MAX_FAILURES
    message = f"its preparation died {MAX_FAILURES} times in a row; the last time: {reason}"
    return {
        "worker": None,
        "failures": failures,
        "state": case((spent, "failed"), else_=literal("preparing")),
        "error": case((spent, storable(message)), else_=None),
        "ended_at": case((spent, literal(utc_now(), UtcTime())), else_=None),
    }


class Datasets(Database):
    """The part of `Records` that keeps uploaded data sets."""

    def create_dataset(self, dataset_id: str, name: str, options: dict[str, Any], size: int) -> Dataset:
        """Note a data set whose archive, of `size` bytes, is on the disk; it waits to be prepared.

        It takes the place of one of that name that could not be prepared.

        Raises:
            DatasetExists: there is one of that name.
        """
        values = {
            "id": dataset_id,
            "name": name,
            "state": "preparing",
            "options": options,
            "bytes": size,
            "token": 0,
            "beat": 0,
            "failures": 0,
            "done": 0,
            "total": 0,
            "report": {},
            "created_at": utc_now(),
        }
        try:
            with self._writing() as connection:
                connection.execute(delete(DatasetRow).where(DatasetRow.name == name, DatasetRow.state == "failed"))
                row = connection.execute(insert(DatasetRow).values(values).returning(*COLUMNS)).mappings().one()
                return _to_dataset(row)
        except IntegrityError as error:
            raise DatasetExists(f'there is a data set "{name}" already: choose another name, or delete it') from error

    def get_dataset(self, name: str) -> Dataset | None:
        """Read a data set; None when there is none of that name."""
        if "\0" in name:  # PostgreSQL refuses to look for one, and no name holds it
            return None
        with self._reading() as connection:
            row = connection.execute(select(*COLUMNS).where(DatasetRow.name == name)).mappings().one_or_none()
        return _to_dataset(row) if row is not None else None

    def list_datasets(self) -> list[Dataset]:
        """List the data sets by name."""
        with self._reading() as connection:
            rows = connection.execute(select(*COLUMNS).order_by(DatasetRow.name)).mappings()
            return [_to_dataset(row) for row in rows]

    def delete_dataset(self, name: str) -> Dataset:
        """Delete a data set's row, and give it as it was; a worker that prepares it finds its lease lost.

        Raises:
            UnknownDatasetRow: there is none of that name.
            DatasetInUse: a run that has not ended names it.
        """
        using = exists().where(RunRow.dataset == name, RunRow.state.in_(UNFINISHED))
        statement = delete(DatasetRow).where(DatasetRow.name == name, ~using)
        if self.get_dataset(name) is None:
            raise UnknownDatasetRow(f'there is no uploaded data set "{name}"')
        if (deleted := self._change_dataset(statement)) is not None:
            return deleted
        raise DatasetInUse(f'a run that has not ended uses the data set "{name}": cancel the run first')

    # What workers do.

    def claim_dataset(self, worker: str) -> Dataset | None:
        """Take the data set that has waited longest, under a new token; None when none waits."""
        waiting = and_(DatasetRow.state == "preparing", DatasetRow.worker.is_(None))
        first = (
            select(DatasetRow.id)
            .where(waiting)
            .order_by(DatasetRow.id)
            .limit(1)
            .with_for_update(skip_locked=True)
            .scalar_subquery()
        )
        taken = {"worker": worker, "token": DatasetRow.token + 1, "beat": 0}
        return self._change_dataset(update(DatasetRow).where(DatasetRow.id == first, waiting).values(taken))

    def beat_dataset(self, dataset_id: str, token: int, done: int, total: int) -> bool:
        """Say that the holder is alive, and how far it is; False when it no longer holds the data set.

        The row keeps the furthest that any attempt came. Once one has come past that and past a point from which a
        later one goes on, earlier deaths no longer count: what is only done again, or lost again, is no progress.
        """
        kept = done - done % KEPT_EVERY
        values = {
            "beat": DatasetRow.beat + 1,
            "done": case((DatasetRow.done < done, done), else_=DatasetRow.done),
            "total": total,
            "failures": case((DatasetRow.done < kept, 0), else_=DatasetRow.failures),
        }
        return self._change_dataset(update(DatasetRow).where(_held(dataset_id, token)).values(values)) is not None

    def finish_dataset(self, dataset_id: str, token: int, report: dict[str, Any]) -> Dataset | None:
        """Note that a data set is prepared; None when it was no longer held, and nothing changed."""
        values = {"state": "ready", "worker": None, "report": report, "error": None, "ended_at": utc_now()}
        return self._change_dataset(update(DatasetRow).where(_held(dataset_id, token)).values(values))

    def fail_dataset(self, dataset_id: str, token: int, error: str) -> Dataset | None:
        """Note that a data set cannot be prepared, and why; None when it was no longer held."""
        values = {"state": "failed", "worker": None, "error": storable(error), "ended_at": utc_now()}
        return self._change_dataset(update(DatasetRow).where(_held(dataset_id, token)).values(values))

    def release_dataset(self, dataset_id: str, token: int, death: str | None = None) -> Dataset | None:
        """Hand a data set back, to be gone on with.

        Args:
            dataset_id: the data set.
            token: the token under which it is held.
            death: how its preparation died, if it did: the third time in a row without progress ends it as `failed`.

        Returns:
            The data set as it is then; None when it was no longer held.
        """
        values = _died(death) if death is not None else {"worker": None}
        return self._change_dataset(update(DatasetRow).where(_held(dataset_id, token)).values(values))

    def preparing(self) -> list[Lease]:
        """List who holds what."""
        with self._reading() as connection:
            rows = connection.execute(select(*LEASE_COLUMNS).where(DatasetRow.worker.is_not(None)))
            return [Lease(*row) for row in rows]

    def take_back_dataset(self, dataset_id: str, token: int, beat: int, reason: str) -> Dataset | None:
        """Take a data set from a holder that has not moved (token, beat) for too long; counts as a death."""
        condition = and_(_held(dataset_id, token), DatasetRow.beat == beat)
        return self._change_dataset(update(DatasetRow).where(condition).values(_died(reason)))

    def _change_dataset(self, statement: Update | Delete) -> Dataset | None:
        with self._writing() as connection:
            row = connection.execute(statement.returning(*COLUMNS)).mappings().one_or_none()
        return _to_dataset(row) if row is not None else None
