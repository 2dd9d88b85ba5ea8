"""The tables, the same on SQLite and PostgreSQL; `models.migrations` brings a database to them."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from sqlalchemy import (
    JSON,
    BigInteger,
    CheckConstraint,
    DateTime,
    Dialect,
    ForeignKey,
    Index,
    MetaData,
    Text,
    UniqueConstraint,
)
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column
from sqlalchemy.types import TypeDecorator

from models.records.values import DATASET_STATES, STATES

# Names for every constraint, so that a later migration can change it on both databases.
NAMES = {
    "ix": "ix_%(table_name)s_%(column_0_N_name)s",
    "uq": "uq_%(table_name)s_%(column_0_N_name)s",
    "ck": "ck_%(table_name)s_%(constraint_name)s",
    "fk": "fk_%(table_name)s_%(column_0_N_name)s_%(referred_table_name)s",
    "pk": "pk_%(table_name)s",
}


class UtcTime(TypeDecorator[datetime]):
    """An aware time in UTC."""

    impl = DateTime(timezone=True)
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        if value is None:
            return None
        utc = value.astimezone(UTC)
        return utc.replace(tzinfo=None) if dialect.name == "sqlite" else utc

    def process_result_value(
        self,
        value: datetime | None,
        dialect: Dialect,  # noqa: ARG002  # SQLAlchemy's signature
    ) -> datetime | None:
        # SQLite has no such type and stores the time without its zone.
        if value is None:
            return None
        return value.replace(tzinfo=UTC) if value.tzinfo is None else value.astimezone(UTC)


class Base(DeclarativeBase):
    """Base of the tables."""

    metadata = MetaData(naming_convention=NAMES)
    type_annotation_map = {  # noqa: RUF012  # read by SQLAlchemy, never changed
        str: Text(),
        datetime: UtcTime(),
        # Not JSONB: it refuses the NUL characters that JSON allows, and nothing looks inside these columns.
        dict[str, Any]: JSON(),
        list[str]: JSON(),
    }


def _one_of(column: str, values: tuple[str, ...]) -> str:
    return f"{column} IN ({', '.join(repr(value) for value in values)})"


class RunRow(Base):
    """One training job."""

    __tablename__ = "runs"
    __table_args__ = (
        CheckConstraint(_one_of("state", STATES), name="state"),
        CheckConstraint(_one_of("wanted", ("paused", "cancelled")), name="wanted"),
        Index(None, "state", "queued_at", "id"),
        Index(None, "model"),
        Index(None, "dataset", "state"),
    )

    id: Mapped[str] = mapped_column(primary_key=True)
    state: Mapped[str]
    wanted: Mapped[str | None]
    request: Mapped[dict[str, Any]]
    config: Mapped[dict[str, Any]]
    preset: Mapped[str]
    dataset: Mapped[str]
    model: Mapped[str]
    devices: Mapped[int]
    token: Mapped[int]
    beat: Mapped[int] = mapped_column(BigInteger)
    failures: Mapped[int]
    worker: Mapped[str | None]
    resolved: Mapped[dict[str, Any]]
    error: Mapped[str | None]
    created_at: Mapped[datetime]
    queued_at: Mapped[datetime]
    started_at: Mapped[datetime | None]
    ended_at: Mapped[datetime | None]
    idempotency_key: Mapped[str | None] = mapped_column(unique=True)


class PublicationRow(Base):
    """A version number allocated to a run at a position."""

    # Rows are never deleted, so that no number is used twice.
    __tablename__ = "publications"
    __table_args__ = (UniqueConstraint("model", "version"),)

    run: Mapped[str] = mapped_column(ForeignKey(RunRow.id), primary_key=True)
    images: Mapped[int] = mapped_column(BigInteger, primary_key=True)
    model: Mapped[str]
    version: Mapped[int]
    created_at: Mapped[datetime]


class DatasetRow(Base):
    """One uploaded data set."""

    __tablename__ = "datasets"
    __table_args__ = (CheckConstraint(_one_of("state", DATASET_STATES), name="state"),)

    id: Mapped[str] = mapped_column(primary_key=True)
    name: Mapped[str] = mapped_column(unique=True)
    state: Mapped[str]
    options: Mapped[dict[str, Any]]
    bytes: Mapped[int] = mapped_column(BigInteger)
    token: Mapped[int]
    beat: Mapped[int] = mapped_column(BigInteger)
    failures: Mapped[int]
    worker: Mapped[str | None]
    done: Mapped[int]
    total: Mapped[int]
    report: Mapped[dict[str, Any]]
    error: Mapped[str | None]
    created_at: Mapped[datetime]
    ended_at: Mapped[datetime | None]


class WorkerRow(Base):
    """A worker process that is alive."""

    __tablename__ = "workers"

    id: Mapped[str] = mapped_column(primary_key=True)
    host: Mapped[str]
    pid: Mapped[int]
    devices: Mapped[int]
    queue: Mapped[str]
    started_at: Mapped[datetime]
    seen_at: Mapped[datetime]


class KeyRow(Base):
    """An API key, hashed."""

    __tablename__ = "keys"

    id: Mapped[str] = mapped_column(primary_key=True)
    name: Mapped[str]
    hash: Mapped[str]
    scopes: Mapped[list[str]]
    created_at: Mapped[datetime]
