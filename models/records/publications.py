"""Version numbers of published positions of runs; `models.store.publishing` writes the files."""

from __future__ import annotations

from collections.abc import Collection

from sqlalchemy import Connection, func, insert, select, text, update

from models.records.claims import require_held
from models.records.database import Database, utc_now
from models.records.schema import PublicationRow, RunRow
from models.records.values import Claim, Publication


def _lock_model(connection: Connection, model: str) -> None:
    """Serialize the publishers of one model."""
    # SQLite has one writer anyway.
    if connection.dialect.name == "postgresql":
        key = {"model": f"atelier model {model}"}
        connection.execute(text("SELECT pg_advisory_xact_lock(hashtextextended(:model, 0))"), key)


def _next_version(connection: Connection, model: str, taken: Collection[int]) -> int:
    highest = select(func.max(PublicationRow.version)).where(PublicationRow.model == model)
    return max(connection.execute(highest).scalar_one() or 0, *taken, 0) + 1


class Publications(Database):
    """The part of `Records` that allocates version numbers."""

    def allocate(self, claim: Claim, images: int, model: str, taken: Collection[int] = ()) -> int:
        """Return the version number of a run's publication at a position: the same one at every attempt.

        Args:
            claim: of the run, under its newest token; the run may have ended.
            images: the position.
            model: the model's name.
            taken: numbers that the model directory uses for something else. They are skipped, even where one of them
                was allocated for this very position.

        Raises:
            ClaimLost: a later claim has raised the token.
        """
        # Not `_held`: the app may publish a snapshot of a run that has ended, under its last token.
        here = (PublicationRow.run == claim.id, PublicationRow.images == images)
        with self._writing() as connection:
            newest = select(RunRow.id).where(RunRow.id == claim.id, RunRow.token == claim.token).with_for_update()
            # The row stays locked until the number is written, so that no later claim comes between.
            require_held(claim, connection.execute(newest).one_or_none())
            _lock_model(connection, model)
            known = connection.execute(select(PublicationRow.version).where(*here)).scalar_one_or_none()
            if known is not None and known not in taken:
                return known
            version = _next_version(connection, model, taken)
            if known is not None:
                connection.execute(update(PublicationRow).where(*here).values(version=version))
            else:
                row = {"run": claim.id, "images": images, "model": model, "version": version, "created_at": utc_now()}
                connection.execute(insert(PublicationRow).values(row))
            return version

    def publications(self, run_id: str) -> list[Publication]:
        """List a run's version numbers by position, including those without complete files."""
        statement = (
            select(PublicationRow.images, PublicationRow.model, PublicationRow.version)
            .where(PublicationRow.run == run_id)
            .order_by(PublicationRow.images)
        )
        with self._reading() as connection:
            return [Publication(*row) for row in connection.execute(statement)]
