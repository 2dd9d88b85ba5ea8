"""Migrations bring any database to the tables of the code, once, however many processes try."""

from __future__ import annotations

import multiprocessing
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from sqlalchemy import create_engine

from models.records import Records, RecordsUnavailable
from models.records.database import parse_url
from models.records.schema import Base

SPAWN = multiprocessing.get_context("spawn")


def _migrate(url: str) -> None:
    records = Records(url)
    records.migrate()
    records.close()


def test_migrated_tables_are_those_of_the_code(database_url: str) -> None:
    _migrate(database_url)
    engine = create_engine(parse_url(database_url))
    with engine.connect() as connection:
        context = MigrationContext.configure(connection, opts={"compare_type": True})
        assert compare_metadata(context, Base.metadata) == []
    engine.dispose()


def test_processes_that_migrate_at_once_all_succeed(database_url: str) -> None:
    processes = [SPAWN.Process(target=_migrate, args=(database_url,)) for _ in range(2)]
    for process in processes:
        process.start()
    for process in processes:
        process.join(60)
    assert [process.exitcode for process in processes] == [0, 0]
    records = Records(database_url)
    assert records.list_runs() == ([], None)
    records.close()


def test_threads_that_migrate_at_once_all_succeed(database_url: str) -> None:
    with ThreadPoolExecutor(8) as pool:
        for done in [pool.submit(_migrate, database_url) for _ in range(8)]:
            done.result()


def test_migrating_again_keeps_what_is_there(database_url: str) -> None:
    records = Records(database_url)
    records.migrate()
    records.add_key("mine", ["sample"])
    records.migrate()
    listed = records.keys()
    assert [key.name for key in listed] == ["mine"]
    records.close()


def test_a_database_that_was_never_migrated_is_unavailable_and_says_so(database_url: str) -> None:
    records = Records(database_url)
    with pytest.raises(RecordsUnavailable, match="runs"):
        records.get_run("x")
    records.close()


def test_the_folder_of_a_sqlite_file_is_made(tmp_path: Path) -> None:
    _migrate(f"sqlite:///{tmp_path / 'new' / 'folder' / 'atelier.db'}")
    assert (tmp_path / "new" / "folder" / "atelier.db").exists()


@pytest.mark.parametrize(
    ("address", "reason"),
    [
        ("nonsense", "cannot be read"),
        ("sqlite://", "in memory"),
        ("sqlite:///:memory:", "in memory"),
        ("mysql://user@host/name", "mysql"),
    ],
)
def test_an_unusable_address_is_refused_with_the_reason(address: str, reason: str) -> None:
    with pytest.raises(ValueError, match=reason):
        Records(address)


@pytest.mark.parametrize("scheme", ["postgres", "postgresql", "postgresql+psycopg"])
def test_every_way_to_write_postgresql_means_psycopg(scheme: str) -> None:
    assert parse_url(f"{scheme}://user:secret@host/name").drivername == "postgresql+psycopg"


def test_a_password_is_never_shown() -> None:
    assert "secret" not in Records("postgresql://user:secret@host/name").address
