"""What workers do with runs: claim, beat, give back, and take back what another worker lost.

Every change is one conditional UPDATE on the fencing token, so that a holder that was given up for dead, and is not,
can change nothing.
"""

from __future__ import annotations

from typing import Any, cast

from sqlalchemy import ColumnElement, Update, and_, case, func, literal, select, update

from models.config.training import TrainingConfig
from models.records.database import Database, storable, utc_now
from models.records.errors import LeaseLost
from models.records.rows import change_run
from models.records.schema import RunRow, UtcTime
from models.records.values import ENDED, MAX_FAILURES, Lease, Outcome, Run, Wanted

LEASE_COLUMNS = (RunRow.id, RunRow.token, RunRow.beat, RunRow.worker)


def _held(run_id: str, token: int) -> ColumnElement[bool]:
    return and_(RunRow.id == run_id, RunRow.token == token, RunRow.state == "running")


def _leave(outcome: Outcome, error: str | None, died: bool) -> dict[str, Any]:
    """Give the columns of a run that stops running.

    What a user asked for meanwhile comes first where the run is to go on; the third death in a row without a
    checkpoint between ends it.
    """
    failures = RunRow.failures + (1 if died else 0)
    state: Any = literal(outcome)
    message: Any = storable(error) if outcome == "failed" else None
    if outcome == "queued":
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


class Leases(Database):
    """The part of `Records` that workers act through."""

    def claim(self, worker: str, devices: int) -> Run | None:
        """Take the first queued run that asks for at most `devices` devices, under a new token; None if there is none.

        Of several workers that claim at once, each gets another run.
        """
        first = (
            select(RunRow.id)
            .where(RunRow.state == "queued", RunRow.devices <= devices)
            .order_by(RunRow.queued_at, RunRow.id)
            .limit(1)
            .with_for_update(skip_locked=True)
            .scalar_subquery()
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
        return self._change(statement)

    def beat(self, run_id: str, token: int) -> Lease | None:
        """Say that the holder is alive; None when it no longer holds the run."""
        statement = update(RunRow).where(_held(run_id, token)).values(beat=RunRow.beat + 1).returning(*LEASE_COLUMNS)
        with self._writing() as connection:
            row = connection.execute(statement).one_or_none()
        return Lease(*row) if row is not None else None

    def wanted(self, run_id: str, token: int) -> Wanted | None:
        """Read what users want of a running run.

        Raises:
            LeaseLost: it is no longer held under `token`.
        """
        with self._reading() as connection:
            row = connection.execute(select(RunRow.wanted).where(_held(run_id, token))).one_or_none()
        if row is None:
            raise LeaseLost(f"run {run_id} is no longer held under token {token}")
        return cast("Wanted | None", row.wanted)

    def checkpointed(self, run_id: str, token: int) -> bool:
        """Note a new checkpoint: deaths before it no longer count. False when the run is no longer held."""
        return self._change(update(RunRow).where(_held(run_id, token)).values(failures=0)) is not None

    def settle(self, run_id: str, token: int, config: TrainingConfig, resolved: dict[str, Any]) -> Run | None:
        """Replace what a run would train by what was chosen at its first start, and say why in `resolved`.

        Returns:
            The run as it is then; None when it is no longer held, and nothing changed.
        """
        values = {"config": config.model_dump(mode="json"), "resolved": resolved}
        return self._change(update(RunRow).where(_held(run_id, token)).values(values))

    def set_resolved(self, run_id: str, token: int, resolved: dict[str, Any]) -> bool:
        """Write down what the worker decided at the first start. False when the run is no longer held."""
        return self._change(update(RunRow).where(_held(run_id, token)).values(resolved=resolved)) is not None

    def release(
        self, run_id: str, token: int, outcome: Outcome, error: str | None = None, died: bool = False
    ) -> Run | None:
        """Stop holding a run.

        Args:
            run_id: the run.
            token: the token under which it is held.
            outcome: what it should become. A pending `wanted` goes before `queued`, a pending cancel before `paused`.
            error: the reason, kept when the run ends as `failed`.
            died: the trainer died (then `outcome` is `queued`): the third time in a row ends the run as `failed`.

        Returns:
            The run as it is then; None when it was no longer held, and nothing changed.
        """
        return self._change(update(RunRow).where(_held(run_id, token)).values(**_leave(outcome, error, died)))

    def running(self) -> list[Lease]:
        """List who holds what."""
        with self._reading() as connection:
            rows = connection.execute(select(*LEASE_COLUMNS).where(RunRow.state == "running"))
            return [Lease(*row) for row in rows]

    def take_back(self, run_id: str, token: int, beat: int, reason: str) -> Run | None:
        """Take a run from a holder that has not moved (token, beat) for too long; counts as a death.

        Returns:
            The run as it is then; None when its holder has moved after all, and nothing changed.
        """
        condition = and_(_held(run_id, token), RunRow.beat == beat)
        return self._change(update(RunRow).where(condition).values(**_leave("queued", reason, died=True)))

    def _change(self, statement: Update) -> Run | None:
        with self._writing() as connection:
            return change_run(connection, statement)
