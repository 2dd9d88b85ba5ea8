"""Which worker processes are there, for people to see; whether a run is lost is decided by its beat alone."""

from __future__ import annotations

from sqlalchemy import delete, insert, select, update

from models.records.database import Database, utc_now
from models.records.schema import WorkerRow
from models.records.values import Worker


class Workers(Database):
    """The part of `Records` that lists workers."""

    def worker_seen(self, worker_id: str, host: str, pid: int, devices: int, queue: str) -> None:
        """Note that a worker is there; only the worker itself calls this for its id."""
        now = utc_now()
        values = {"host": host, "pid": pid, "devices": devices, "queue": queue, "seen_at": now}
        with self._writing() as connection:
            known = connection.execute(update(WorkerRow).where(WorkerRow.id == worker_id).values(values))
            if known.rowcount == 0:
                connection.execute(insert(WorkerRow).values(id=worker_id, started_at=now, **values))

    def workers(self) -> list[Worker]:
        """List the workers, longest there first."""
        with self._reading() as connection:
            rows = connection.execute(select(WorkerRow.__table__).order_by(WorkerRow.started_at, WorkerRow.id))
            return [Worker(**row) for row in rows.mappings()]

    def worker_gone(self, worker_id: str) -> None:
        """Note that a worker has left; repeating it changes nothing."""
        with self._writing() as connection:
            connection.execute(delete(WorkerRow).where(WorkerRow.id == worker_id))
