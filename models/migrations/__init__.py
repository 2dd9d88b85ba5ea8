"""Brings a database to the tables of `models.records.schema`, by Alembic, inside the caller's transaction."""

from __future__ import annotations

import threading
from pathlib import Path

from alembic import command
from alembic.config import Config
from sqlalchemy import Connection, text

# Any number that nothing else in the same PostgreSQL database locks.
ADVISORY_LOCK = 0x41544C52

# Alembic keeps its context in module globals.
_one_at_a_time = threading.Lock()


def upgrade(connection: Connection) -> None:
    """Run what is missing, in `connection`'s transaction: all of it happens, or nothing.

    On SQLite that transaction must hold the write lock already; on PostgreSQL an advisory lock is taken here. So
    processes that migrate at once do it one after the other, and all but the first find nothing to do.
    """
    if connection.dialect.name == "postgresql":
        connection.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": ADVISORY_LOCK})
    config = Config()
    config.set_main_option("script_location", str(Path(__file__).parent).replace("%", "%%"))
    config.attributes["connection"] = connection
    with _one_at_a_time:
        command.upgrade(config, "head")
