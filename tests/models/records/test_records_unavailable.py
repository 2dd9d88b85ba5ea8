"""A database that is away is one kind of error, and an end to it is noticed without a new start."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from pathlib import Path

import pytest

from models.records import Claim, Records, RecordsUnavailable, database
from tests.fixtures.postgres import PostgresServer
from tests.fixtures.versions import training_config

CLAIM = Claim("run", "x", 1)
CALLS: list[Callable[[Records], object]] = [
    Records.ping,
    Records.migrate,
    Records.list_runs,
    Records.leases,
    Records.keys,
    lambda records: records.get_run("x"),
    lambda records: records.create_run(training_config(), {}, "key"),
    lambda records: records.claim_run("worker", 1),
    lambda records: records.beat_run(CLAIM),
    lambda records: records.wanted(CLAIM),
    lambda records: records.release_run(CLAIM, "queued"),
    lambda records: records.cancel("x"),
    lambda records: records.resume("x"),
    lambda records: records.allocate(CLAIM, 0, "digits"),
]


def test_every_call_says_that_postgresql_is_away_and_works_when_it_is_back(own_postgres: PostgresServer) -> None:
    records = Records(own_postgres.create_database())
    records.migrate()
    run, _ = records.create_run(training_config(), {})
    own_postgres.stop()
    for call in CALLS:
        with pytest.raises(RecordsUnavailable, match="does not answer"):
            call(records)
    own_postgres.start()
    assert records.get_run(run.id) == run
    records.close()


def test_every_call_says_that_a_sqlite_file_cannot_be_opened(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    records = Records(f"sqlite:///{tmp_path / 'file' / 'atelier.db'}")
    for call in CALLS:
        with pytest.raises(RecordsUnavailable, match=r"atelier\.db"):
            call(records)
    records.close()


def test_a_file_that_is_no_database_is_unavailable(tmp_path: Path) -> None:
    path = tmp_path / "atelier.db"
    path.write_text("not a database " * 100)
    records = Records(f"sqlite:///{path}")
    with pytest.raises(RecordsUnavailable, match="not a database"):
        records.migrate()
    assert path.read_text().startswith("not a database")
    records.close()


def test_a_writer_that_never_gets_its_turn_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(database, "SQLITE_LOCK_SECONDS", 0.05)
    path = tmp_path / "atelier.db"
    records = Records(f"sqlite:///{path}")
    records.migrate()
    blocker = sqlite3.connect(path, isolation_level=None)
    blocker.execute("BEGIN IMMEDIATE")
    with pytest.raises(RecordsUnavailable, match="locked"):
        records.create_run(training_config(), {})
    assert records.list_runs() == ([], None)  # readers never wait for writers
    blocker.execute("ROLLBACK")
    blocker.close()
    assert records.create_run(training_config(), {})[1]
    records.close()
