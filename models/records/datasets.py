"""Uploaded data sets on the users' side: create, list, delete. The workers' side is `models.records.claims`."""

from __future__ import annotations

from typing import Any

from sqlalchemy import Connection, Delete, Update, delete, exists, insert, select
from sqlalchemy.engine import RowMapping
from sqlalchemy.exc import IntegrityError

from models.records.database import Database, utc_now
from models.records.schema import DatasetRow, RunRow
from models.records.values import Dataset, DatasetExists, DatasetInUse, UnknownDatasetRow

COLUMNS = tuple(DatasetRow.__table__.columns)
UNFINISHED = ("queued", "running", "paused")


def _to_dataset(row: RowMapping) -> Dataset:
    return Dataset(**row)


def change_dataset(connection: Connection, statement: Update | Delete) -> Dataset | None:
    """Execute a change of at most one data set and return its row; None if the conditions do not hold."""
    row = connection.execute(statement.returning(*COLUMNS)).mappings().one_or_none()
    return _to_dataset(row) if row is not None else None


class Datasets(Database):
    """The part of `Records` that keeps uploaded data sets."""

    def create_dataset(self, dataset_id: str, name: str, options: dict[str, Any], size: int) -> Dataset:
        """Create the row of a data set that waits to be prepared; its archive has `size` bytes.

        It replaces a failed one of the same name.

        Raises:
            DatasetExists: the name is taken.
        """
        # A row appears only once its archive is on the disk and checked.
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
        if "\0" in name:  # PostgreSQL refuses to compare with NUL, and no name holds it
            return None
        with self._reading() as connection:
            row = connection.execute(select(*COLUMNS).where(DatasetRow.name == name)).mappings().one_or_none()
        return _to_dataset(row) if row is not None else None

    def list_datasets(self) -> list[Dataset]:
        with self._reading() as connection:
            rows = connection.execute(select(*COLUMNS).order_by(DatasetRow.name)).mappings()
            return [_to_dataset(row) for row in rows]

    def delete_dataset(self, name: str) -> Dataset:
        """Delete a data set's row and return it.

        Raises:
            UnknownDatasetRow: there is none of that name.
            DatasetInUse: a run that has not ended names it.
        """
        # A worker that prepares it loses its claim.
        using = exists().where(RunRow.dataset == name, RunRow.state.in_(UNFINISHED))
        statement = delete(DatasetRow).where(DatasetRow.name == name, ~using)
        if self.get_dataset(name) is None:
            raise UnknownDatasetRow(f'there is no uploaded data set "{name}"')
        with self._writing() as connection:
            deleted = change_dataset(connection, statement)
        if deleted is not None:
            return deleted
        raise DatasetInUse(f'a run that has not ended uses the data set "{name}": cancel the run first')
