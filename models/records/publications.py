"""Which version number belongs to which position of which run; `models.store.publishing` moves the files."""

from __future__ import annotations

from collections.abc import Collection

from sqlalchemy import Connection, func, insert, select, text, update

from models.records.database import Database, utc_now
from models.records.errors import Fenced
from models.records.schema import PublicationRow, RunRow
from models.records.values import Publication


def _lock_model(connection: Connection, model: str) -> None:
    """Let one publisher at a time count a model's numbers; SQLite has one writer anyway."""
    if connection.dialect.name == "postgresql":
        key = {"model": f"atelier model {model}"}
        connection.execute(text("SELECT pg_advisory_xact_lock(hashtextextended(:model, 0))"), key)


def _next_version(connection: Connection, model: str, taken: Collection[int]) -> int:
    highest = select(func.max(PublicationRow.version)).where(PublicationRow.model == model)
    return max(connection.execute(highest).scalar_one() or 0, *taken, 0) + 1


class Publications(Database):
    """The part of `Records` that gives out version numbers."""

    def allocate(self, run_id: str, token: int, images: int, model: str, taken: Collection[int] = ()) -> int:
        """Give the version number of a run's publication at a position: the same one at every attempt.

        Args:
            run_id: the run.
            token: the caller's token; only the newest one gets a number.
            images: the position.
            model: the model's name.
            taken: numbers that stand in the model directory for something else. They are skipped, also where one of
                them was given out for this very position.

        Raises:
            Fenced: `token` is not the run's newest.
        """
        here = (PublicationRow.run == run_id, PublicationRow.images == images)
        with self._writing() as connection:
            held = select(RunRow.id).where(RunRow.id == run_id, RunRow.token == token).with_for_update()
            if connection.execute(held).one_or_none() is None:
                raise Fenced(f"run {run_id} is no longer held under token {token}: nothing was published")
            _lock_model(connection, model)
            known = connection.execute(select(PublicationRow.version).where(*here)).scalar_one_or_none()
            if known is not None and known not in taken:
                return known
            version = _next_version(connection, model, taken)
            if known is not None:
                connection.execute(update(PublicationRow).where(*here).values(version=version))
            else:
                row = {"run": run_id, "images": images, "model": model, "version": version, "created_at": utc_now()}
                connection.execute(insert(PublicationRow).values(row))
            return version

    def publications(self, run_id: str) -> list[Publication]:
        """List a run's version numbers by position, those whose files were never finished included."""
        statement = (
            select(PublicationRow.images, PublicationRow.model, PublicationRow.version)
            .where(PublicationRow.run == run_id)
            .order_by(PublicationRow.images)
        )
        with self._reading() as connection:
            return [Publication(*row) for row in connection.execute(statement)]
