"""One database, SQLite or PostgreSQL: address, connections, transactions, errors, and ids of rows."""

from __future__ import annotations

import secrets
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from sqlalchemy import URL, Connection, Engine, create_engine, event, exc, make_url, text
from sqlalchemy.exc import ArgumentError, DBAPIError, InterfaceError, OperationalError

from models import migrations
from models.records.values import RecordsUnavailable

# A writer waits this long for the lock on SQLite; writes take milliseconds, so only a stuck disk lasts longer.
SQLITE_LOCK_SECONDS = 60.0
UNDEFINED_TABLE = "42P01"

# Crockford's base 32 in lower case: sorts as its numbers do.
_DIGITS = "0123456789abcdefghjkmnpqrstvwxyz"
_RANDOM_BITS = 75
ID_LENGTH = 26

# A server that is silent (a pulled cable, a paused container) must become an error in seconds, not minutes.
POSTGRES_ARGUMENTS = {
    "connect_timeout": 5,
    "keepalives_idle": 10,
    "keepalives_interval": 5,
    "keepalives_count": 3,
    "tcp_user_timeout": 20_000,
}


def parse_url(address: str) -> URL:
    """Read a database address; `postgres://` and `postgresql://` mean the psycopg driver.

    Raises:
        ValueError: the address is not valid, or the database is neither a SQLite file nor PostgreSQL.
    """
    try:
        url = make_url(address)
    except ArgumentError:
        raise ValueError(
            "the database address cannot be read: expected sqlite:////PATH or postgresql://USER:PASSWORD@HOST/NAME"
        ) from None
    match url.drivername:
        case "sqlite" if url.database and url.database != ":memory:":
            return url
        case "sqlite":
            raise ValueError("a SQLite database in memory cannot be shared: give a file, such as sqlite:////PATH")
        case "postgres" | "postgresql" | "postgresql+psycopg":
            return url.set(drivername="postgresql+psycopg")
        case other:
            raise ValueError(f'databases of kind "{other}" are not supported: use sqlite or postgresql')


def _sqlite_engine(url: URL) -> Engine:
    # isolation_level None: the driver opens no transactions by itself, `_begin` says when.
    arguments = {"timeout": SQLITE_LOCK_SECONDS, "isolation_level": None}
    engine = create_engine(url, connect_args=arguments)

    @event.listens_for(engine, "connect")
    def _configure(connection: Any, _record: object) -> None:
        connection.execute("PRAGMA synchronous=FULL")
        connection.execute("PRAGMA foreign_keys=ON")

    @event.listens_for(engine, "begin")
    def _begin(connection: Connection) -> None:
        # A transaction that reads first and writes later can fail with "database is locked" however long it waits
        # (its snapshot is stale); one that takes the write lock first only ever waits.
        if not connection.get_execution_options().get("reading"):
            connection.exec_driver_sql("BEGIN IMMEDIATE")

    return engine


def _engine(url: URL) -> Engine:
    if url.get_backend_name() == "sqlite":
        return _sqlite_engine(url)
    return create_engine(url, pool_pre_ping=True, connect_args=POSTGRES_ARGUMENTS)


def _is_unavailable(error: DBAPIError) -> bool:
    if isinstance(error, OperationalError | InterfaceError) or error.connection_invalidated:
        return True
    if type(error) is exc.DatabaseError:  # what SQLite raises for a damaged file
        return True
    return getattr(error.orig, "sqlstate", None) == UNDEFINED_TABLE


class Database:
    """Connections to one database, usable from several threads; the base of every part of `Records`."""

    def __init__(self, url: str) -> None:
        """Parse `url`; connections are opened when they are first needed.

        Raises:
            ValueError: see `parse_url`.
        """
        self._url = parse_url(url)
        self._engine = _engine(self._url)
        self._read_engine = self._engine.execution_options(reading=True)

    @property
    def address(self) -> str:
        """The database's address without its password, for messages."""
        return self._url.render_as_string(hide_password=True)

    def migrate(self) -> None:
        """Bring the database to this version's tables.

        Raises:
            RecordsUnavailable: the database cannot be reached.
        """
        # Any number of processes may do this at once.
        if self._url.get_backend_name() == "sqlite":
            self._prepare_file()
        with self._writing() as connection:
            migrations.upgrade(connection)

    def _prepare_file(self) -> None:
        path = Path(str(self._url.database))
        with self._translated():
            try:
                path.parent.mkdir(parents=True, exist_ok=True)
            except OSError as error:
                raise RecordsUnavailable(f"the folder of the database {path} cannot be made: {error}") from error
            with self._read_engine.connect() as connection:
                # Kept in the file: readers and the writer no longer wait for each other.
                connection.exec_driver_sql("PRAGMA journal_mode=WAL")

    def ping(self) -> None:
        """Check that the database responds.

        Raises:
            RecordsUnavailable: it does not.
        """
        with self._reading() as connection:
            connection.execute(text("SELECT 1"))

    def close(self) -> None:
        self._engine.dispose()

    @contextmanager
    def _translated(self) -> Iterator[None]:
        try:
            yield
        except exc.TimeoutError as error:
            raise RecordsUnavailable(f"the database {self.address} is too busy: {error}") from error
        except DBAPIError as error:
            if not _is_unavailable(error):
                raise
            raise RecordsUnavailable(f"the database {self.address} does not answer: {error.orig}") from error

    @contextmanager
    def _reading(self) -> Iterator[Connection]:
        """Yield a connection for single reads."""
        with self._translated(), self._read_engine.connect() as connection:
            yield connection

    @contextmanager
    def _writing(self) -> Iterator[Connection]:
        """Yield a connection in a transaction that is committed at the end."""
        # On SQLite it takes the write lock at the start.
        with self._translated(), self._engine.begin() as connection:
            yield connection


def utc_now() -> datetime:
    """Return the time, aware, in UTC."""
    return datetime.now(UTC)


def storable(message: str | None) -> str | None:
    """Replace characters that a database refuses: NUL on PostgreSQL, halves of surrogate pairs on both."""
    if message is None:
        return None
    return message.encode("utf-8", "replace").decode().replace("\0", "\N{REPLACEMENT CHARACTER}")


def new_id() -> str:
    """Return a unique id that sorts by its time of creation: 55 bits of microseconds, 75 random bits."""
    number = time.time_ns() // 1000 << _RANDOM_BITS | secrets.randbits(_RANDOM_BITS)
    return "".join(_DIGITS[number >> shift & 31] for shift in range(5 * (ID_LENGTH - 1), -1, -5))


def is_id(text: str) -> bool:
    return len(text) == ID_LENGTH and set(text) <= set(_DIGITS)
