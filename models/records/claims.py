"""Rows on the workers' side: register, claim, beat, release, and take back the claims of lost workers."""

from __future__ import annotations

from typing import Any, TypeVar, cast

from sqlalchemy import ColumnElement, Select, and_, case, delete, func, insert, literal, select, union_all, update

from models.config.resolved import ResolvedRow
from models.config.training import TrainingConfig
from models.datasets.uploads import SYNC_EVERY
from models.records.database import Database, storable, utc_now
from models.records.datasets import change_dataset
from models.records.runs import change_run, find_run
from models.records.schema import DatasetRow, RunRow, UtcTime, WorkerRow
from models.records.values import (
    ENDED,
    MAX_FAILURES,
    Claim,
    ClaimKind,
    ClaimLost,
    Dataset,
    LeaseState,
    Outcome,
    Run,
    Wanted,
    Worker,
)

Row = TypeVar("Row")


def require_held(claim: Claim, row: Row | None) -> Row:
    """Return the row that a statement on a claimed row found or changed.

    Raises:
        ClaimLost: there is none, so the claim no longer holds.
    """
    if row is None:
        raise ClaimLost(claim)
    return row


def _held(claim: Claim) -> ColumnElement[bool]:
    # Each claim raises the row's fencing token, and every later change is one conditional UPDATE on that token: a
    # worker that was declared lost by mistake can change nothing.
    if claim.kind == "run":
        return and_(RunRow.id == claim.id, RunRow.token == claim.token, RunRow.state == "running")
    return and_(DatasetRow.id == claim.id, DatasetRow.token == claim.token, DatasetRow.worker.is_not(None))


class Claims(Database):
    """The part of `Records` that treats claimed runs and data sets alike."""

    def leases(self) -> list[LeaseState]:
        """List everything that is claimed."""
        runs = select(literal("run"), RunRow.id, RunRow.token, RunRow.beat, RunRow.worker)
        datasets = select(literal("dataset"), DatasetRow.id, DatasetRow.token, DatasetRow.beat, DatasetRow.worker)
        claimed = union_all(runs.where(RunRow.state == "running"), datasets.where(DatasetRow.worker.is_not(None)))
        with self._reading() as connection:
            rows = connection.execute(claimed)
            return [
                LeaseState(Claim(cast("ClaimKind", kind), id_, token), beat, worker)
                for kind, id_, token, beat, worker in rows
            ]

    def take_back(self, lease: LeaseState, reason: str) -> Run | Dataset | None:
        """Take back a row whose (token, beat) has not moved for too long; counts as a death.

        Returns:
            The changed row; None if its worker has moved after all.
        """
        # Conditional on the beat: a worker that moved between the list and this statement keeps its row.
        held = _held(lease.claim)
        with self._writing() as connection:
            if lease.claim.kind == "run":
                run_values = _released_run("queued", reason, died=True)
                return change_run(connection, update(RunRow).where(held, RunRow.beat == lease.beat).values(run_values))
            statement = update(DatasetRow).where(held, DatasetRow.beat == lease.beat).values(_dead_dataset(reason))
            return change_dataset(connection, statement)


def _first(waiting: Select[str]) -> Any:
    # SKIP LOCKED: of several workers that claim at once, each gets another row and none waits.
    return waiting.limit(1).with_for_update(skip_locked=True).scalar_subquery()


class RunClaims(Claims):
    """The part of `Records` for the workers that train; all but `claim_run` raise `ClaimLost`."""

    def claim_run(self, worker: str, devices: int) -> Run | None:
        """Claim the first queued run that needs at most `devices` devices; None if there is none."""
        first = _first(
            select(RunRow.id)
            .where(RunRow.state == "queued", RunRow.devices <= devices)
            .order_by(RunRow.queued_at, RunRow.id)
        )
        now = literal(utc_now(), UtcTime())
        statement = (
            update(RunRow)
            .where(RunRow.id == first, RunRow.state == "queued")
            .values(
                state="running",
                token=RunRow.token + 1,
                beat=0,
                worker=worker,
                started_at=func.coalesce(RunRow.started_at, now),
            )
        )
        with self._writing() as connection:
            return change_run(connection, statement)

    def claimed_run(self, claim: Claim) -> Run:
        with self._reading() as connection:
            run = find_run(connection, claim.id)
        return require_held(claim, run if run is not None and (run.claim, run.state) == (claim, "running") else None)

    def beat_run(self, claim: Claim) -> None:
        self._change_run(claim, beat=RunRow.beat + 1)

    def wanted(self, claim: Claim) -> Wanted | None:
        """Read whether a user wants the run paused or cancelled."""
        with self._reading() as connection:
            row = connection.execute(select(RunRow.wanted).where(_held(claim))).one_or_none()
        return cast("Wanted | None", require_held(claim, row).wanted)

    def reset_failures(self, claim: Claim) -> None:
        # After a new checkpoint: only deaths without progress count.
        self._change_run(claim, failures=0)

    def settle(self, claim: Claim, config: TrainingConfig, resolved: ResolvedRow) -> Run:
        """Replace a run's configuration by the one chosen at its first start; `resolved` explains the choice."""
        return self._change_run(claim, config=config.model_dump(mode="json"), resolved=resolved)

    def set_resolved(self, claim: Claim, resolved: ResolvedRow) -> None:
        self._change_run(claim, resolved=resolved)

    def release_run(self, claim: Claim, outcome: Outcome, error: str | None = None, died: bool = False) -> Run:
        """Stop holding a run.

        Args:
            claim: the claim that holds it.
            outcome: its next state. A pending `wanted` goes before `queued`, a pending cancel before `paused`.
            error: the reason, kept when the run ends as `failed`.
            died: the trainer died (then `outcome` is `queued`): the third time in a row ends the run as `failed`.
        """
        return self._change_run(claim, **_released_run(outcome, error, died))

    def _change_run(self, claim: Claim, **values: Any) -> Run:
        with self._writing() as connection:
            return require_held(claim, change_run(connection, update(RunRow).where(_held(claim)).values(**values)))


def _released_run(outcome: Outcome, error: str | None, died: bool) -> dict[str, Any]:
    """Build the columns of a run that stops running."""
    failures = RunRow.failures + (1 if died else 0)
    state: Any = literal(outcome)
    message: Any = storable(error) if outcome == "failed" else None
    if outcome == "queued":
        # A user's request comes first; else the third death without a new checkpoint ends the run.
        spent = failures >= MAX_FAILURES if died else literal(False)
        nothing_wanted = RunRow.wanted.is_(None)
        state = case((RunRow.wanted.is_not(None), RunRow.wanted), (spent, "failed"), else_=literal("queued"))
        reason = f"died {MAX_FAILURES} times in a row without a new checkpoint; the last time: {error}"
        message = case((and_(nothing_wanted, spent), storable(reason)), else_=None)
    elif outcome == "paused":
        state = case((RunRow.wanted == "cancelled", "cancelled"), else_=literal("paused"))
    return {
        "state": state,
        "wanted": None,
        "worker": None,
        "failures": failures,
        "error": message,
        "ended_at": case((state.in_(ENDED), literal(utc_now(), UtcTime())), else_=None),
    }


class DatasetClaims(Claims):
    """The part of `Records` for the workers that prepare data sets; all but `claim_dataset` raise `ClaimLost`."""

    def claim_dataset(self, worker: str) -> Dataset | None:
        """Claim the data set that has waited longest; None if none waits."""
        waiting = and_(DatasetRow.state == "preparing", DatasetRow.worker.is_(None))
        first = _first(select(DatasetRow.id).where(waiting).order_by(DatasetRow.id))
        claimed = {"worker": worker, "token": DatasetRow.token + 1, "beat": 0}
        with self._writing() as connection:
            return change_dataset(connection, update(DatasetRow).where(DatasetRow.id == first, waiting).values(claimed))

    def beat_dataset(self, claim: Claim, done: int, total: int) -> None:
        """Increment the beat, and write the progress: `done` of `total` files."""
        # The row keeps the furthest that any attempt came. Earlier deaths are forgotten once an attempt has come past
        # that and past a point from which a later one can continue: repeated or lost work is no progress.
        kept = done - done % SYNC_EVERY
        self._change_dataset(
            claim,
            beat=DatasetRow.beat + 1,
            done=case((DatasetRow.done < done, done), else_=DatasetRow.done),
            total=total,
            failures=case((DatasetRow.done < kept, 0), else_=DatasetRow.failures),
        )

    def finish_dataset(self, claim: Claim, report: dict[str, Any]) -> Dataset:
        """Release a data set that is prepared."""
        return self._change_dataset(claim, state="ready", worker=None, report=report, error=None, ended_at=utc_now())

    def fail_dataset(self, claim: Claim, reason: str) -> Dataset:
        """Release a data set that cannot be prepared."""
        return self._change_dataset(claim, state="failed", worker=None, error=storable(reason), ended_at=utc_now())

    def release_dataset(self, claim: Claim, death: str | None = None) -> Dataset:
        """Release a data set, for another attempt to continue its preparation.

        Args:
            claim: the claim that holds it.
            death: how its preparation died, if it did: the third time in a row without progress ends it as `failed`.
        """
        return self._change_dataset(claim, **({"worker": None} if death is None else _dead_dataset(death)))

    def _change_dataset(self, claim: Claim, **values: Any) -> Dataset:
        with self._writing() as connection:
            changed = change_dataset(connection, update(DatasetRow).where(_held(claim)).values(**values))
        return require_held(claim, changed)


def _dead_dataset(reason: str) -> dict[str, Any]:
    """Build the columns of a data set whose preparation has died."""
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


class Workers(Database):
    """The part of `Records` that lists worker processes, for people."""

    def worker_seen(self, worker_id: str, host: str, pid: int, devices: int, queue: str) -> None:
        """Insert or update the row of this worker."""
        # For display only: a claim's beat alone decides whether a row is lost.
        now = utc_now()
        values = {"host": host, "pid": pid, "devices": devices, "queue": queue, "seen_at": now}
        with self._writing() as connection:
            known = connection.execute(update(WorkerRow).where(WorkerRow.id == worker_id).values(values))
            if known.rowcount == 0:
                connection.execute(insert(WorkerRow).values(id=worker_id, started_at=now, **values))

    def workers(self) -> list[Worker]:
        """List the workers, the oldest first."""
        with self._reading() as connection:
            rows = connection.execute(select(WorkerRow.__table__).order_by(WorkerRow.started_at, WorkerRow.id))
            return [Worker(**row) for row in rows.mappings()]

    def worker_gone(self, worker_id: str) -> None:
        """Remove a worker from the list; repeating it changes nothing."""
        with self._writing() as connection:
            connection.execute(delete(WorkerRow).where(WorkerRow.id == worker_id))
