"""Runs on the users' side: create, list, cancel, pause, resume. The workers' side is `models.records.claims`."""

from __future__ import annotations

import json
from typing import Any

from sqlalchemy import Connection, Update, and_, case, func, insert, literal, or_, select, update
from sqlalchemy.engine import RowMapping
from sqlalchemy.exc import IntegrityError

from models.config.presets import AUTO
from models.config.training import TrainingConfig
from models.records.database import Database, is_id, new_id, utc_now
from models.records.schema import RunRow, UtcTime
from models.records.values import (
    IdempotencyConflict,
    InvalidCursor,
    InvalidLength,
    Run,
    State,
    UnknownRun,
    WrongState,
)

RUN_COLUMNS = [column for column in RunRow.__table__.columns if column.name != "idempotency_key"]


def _canonical(value: Any) -> str:
    return json.dumps(value, sort_keys=True, separators=(",", ":"))


def to_run(row: RowMapping) -> Run:
    return Run(**row)


def find_run(connection: Connection, run_id: str) -> Run | None:
    row = connection.execute(select(*RUN_COLUMNS).where(RunRow.id == run_id)).mappings().one_or_none()
    return to_run(row) if row is not None else None


def change_run(connection: Connection, statement: Update) -> Run | None:
    """Execute an update of at most one run and return the changed run; None if the conditions do not hold."""
    row = connection.execute(statement.returning(*RUN_COLUMNS)).mappings().one_or_none()
    return to_run(row) if row is not None else None


class Runs(Database):
    """The part of `Records` for the users of runs."""

    def create_run(
        self, config: TrainingConfig, request: dict[str, Any], idempotency_key: str | None = None
    ) -> tuple[Run, bool]:
        """Queue a run.

        Args:
            config: the complete configuration that `request` was resolved to.
            request: the client's request, as JSON values.
            idempotency_key: a repeat with the same key and request returns the existing run.

        Returns:
            The run, and whether it was created now.

        Raises:
            IdempotencyConflict: the key was used with another request.
        """
        values = _new_row(config, request, idempotency_key)
        try:
            with self._writing() as connection:
                row = connection.execute(insert(RunRow).values(values).returning(*RUN_COLUMNS)).mappings().one()
                return to_run(row), True
        except IntegrityError:
            if idempotency_key is None:
                raise
            run = self.repeated(idempotency_key, request)
            if run is None:
                raise
            return run, False

    def repeated(self, idempotency_key: str, request: dict[str, Any]) -> Run | None:
        """Return the run that an earlier request with this key created, if any.

        Raises:
            IdempotencyConflict: the key was used with another request.
        """
        statement = select(*RUN_COLUMNS).where(RunRow.idempotency_key == idempotency_key)
        with self._reading() as connection:
            row = connection.execute(statement).mappings().one_or_none()
        if row is None:
            return None
        run = to_run(row)
        if _canonical(run.request) != _canonical(request):
            raise IdempotencyConflict(
                f'the idempotency key "{idempotency_key}" came before with another request (run {run.id}): '
                "use a new key for a new request"
            )
        return run

    def get_run(self, run_id: str) -> Run | None:
        with self._reading() as connection:
            return find_run(connection, run_id)

    def list_runs(
        self, state: State | None = None, model: str | None = None, limit: int = 50, cursor: str | None = None
    ) -> tuple[list[Run], str | None]:
        """List runs, newest first.

        Returns:
            At most `limit` runs, and the cursor of the next page; None on the last one.

        Raises:
            InvalidCursor: `cursor` is none that this list returned.
        """
        statement = select(*RUN_COLUMNS).order_by(RunRow.id.desc()).limit(limit + 1)
        if state is not None:
            statement = statement.where(RunRow.state == state)
        if model is not None:
            statement = statement.where(RunRow.model == model)
        if cursor is not None:
            if not is_id(cursor):
                raise InvalidCursor(f'"{cursor}" is no cursor of this list: use the "next" of the page before')
            statement = statement.where(RunRow.id < cursor)
        with self._reading() as connection:
            runs = [to_run(row) for row in connection.execute(statement).mappings()]
        return runs[:limit], runs[limit - 1].id if len(runs) > limit else None

    def queue_position(self, run: Run) -> int | None:
        """Return a queued run's place in the queue, from 1; None if it is not queued."""
        before = or_(RunRow.queued_at < run.queued_at, and_(RunRow.queued_at == run.queued_at, RunRow.id < run.id))
        statement = select(func.count()).where(RunRow.state == "queued", before)
        if run.state != "queued":
            return None
        with self._reading() as connection:
            return connection.execute(statement).scalar_one() + 1

    def count_runs(self) -> dict[str, int]:
        """Count the runs by state, without states of no run."""
        statement = select(RunRow.state, func.count()).group_by(RunRow.state)
        with self._reading() as connection:
            return dict(connection.execute(statement).all())

    def cancel(self, run_id: str) -> Run:
        """Cancel a run; repeating it changes nothing.

        Raises:
            UnknownRun: there is no such run.
            WrongState: it has succeeded or failed already.
        """
        waiting = RunRow.state.in_(("queued", "paused"))
        statement = (
            update(RunRow)
            .where(RunRow.id == run_id, RunRow.state.in_(("queued", "paused", "running", "cancelled")))
            # A waiting run ends at once; a running one is cancelled by its worker, which reads `wanted`.
            .values(
                state=case((waiting, "cancelled"), else_=RunRow.state),
                wanted=case((RunRow.state == "running", "cancelled"), else_=None),
                ended_at=case((waiting, literal(utc_now(), UtcTime())), else_=RunRow.ended_at),
            )
        )
        with self._writing() as connection:
            return change_run(connection, statement) or _refuse(find_run(connection, run_id), run_id, "cancelled")

    def pause(self, run_id: str) -> Run:
        """Pause a run; repeating it changes nothing.

        Raises:
            UnknownRun: there is no such run.
            WrongState: it has ended, or is being cancelled.
        """
        being_cancelled = RunRow.wanted.is_not_distinct_from("cancelled")
        statement = (
            update(RunRow)
            .where(RunRow.id == run_id, RunRow.state.in_(("queued", "paused", "running")), ~being_cancelled)
            # A queued run is paused at once; a running one is paused by its worker, which reads `wanted`.
            .values(
                state=case((RunRow.state == "queued", "paused"), else_=RunRow.state),
                wanted=case((RunRow.state == "running", "paused"), else_=None),
            )
        )
        with self._writing() as connection:
            return change_run(connection, statement) or _refuse(find_run(connection, run_id), run_id, "paused")

    def resume(self, run_id: str, kimg: float | None = None, epochs: float | None = None, shown: int = 0) -> Run:
        """Queue a run again, to continue from its newest checkpoint; a length becomes its new target.

        Args:
            run_id: the run.
            kimg: the length, in thousands of images; or
            epochs: in passes over its data set.
            shown: images that the run has been shown already, as far as known.

        Raises:
            UnknownRun: there is no such run.
            WrongState: it is queued or running, or has succeeded and the target is not longer.
            InvalidLength: the length is impossible, or shorter than what was shown already.
        """
        with self._writing() as connection:
            # The lock is SQLite's one writer, or PostgreSQL's row: what is read here still holds when it is written.
            row = connection.execute(select(*RUN_COLUMNS).where(RunRow.id == run_id).with_for_update())
            found = row.mappings().one_or_none()
            run = to_run(found) if found is not None else None
            if run is None or run.state in ("queued", "running"):
                return _refuse(run, run_id, "resumed")
            config = _with_length(run, kimg, epochs, shown)
            statement = (
                update(RunRow)
                .where(RunRow.id == run_id)
                .values(state="queued", config=config, failures=0, error=None, ended_at=None, queued_at=utc_now())
            )
            return change_run(connection, statement) or _refuse(None, run_id, "resumed")


def _new_row(config: TrainingConfig, request: dict[str, Any], idempotency_key: str | None) -> dict[str, Any]:
    """Build the columns of a queued run."""
    now = utc_now()
    return {
        "id": new_id(),
        "state": "queued",
        "request": request,
        "config": config.model_dump(mode="json"),
        "preset": config.preset,
        "dataset": config.dataset,
        "model": config.model,
        "devices": config.devices,
        "token": 0,
        "beat": 0,
        "failures": 0,
        "resolved": {},
        "created_at": now,
        "queued_at": now,
        "idempotency_key": idempotency_key,
    }


def _with_length(run: Run, kimg: float | None, epochs: float | None, shown: int) -> dict[str, Any]:
    """Return the run's configuration with another target."""
    if kimg is None and epochs is None:
        if run.state == "succeeded":
            raise WrongState(
                f"run {run.id} has succeeded: it can only be resumed with a longer target, as kimg or epochs",
                run.state,
            )
        return run.config
    if run.preset == AUTO and not run.resolved:
        raise InvalidLength(f"run {run.id} chooses its length when it starts: resume it without one, then set another")
    try:
        config = TrainingConfig.model_validate({**run.config, "kimg": kimg, "epochs": epochs})
    except ValueError as error:
        raise InvalidLength(f"run {run.id} cannot be resumed with kimg={kimg}, epochs={epochs}: {error}") from error
    if run.state == "succeeded" and not _is_longer(run, config):
        raise WrongState(
            f"run {run.id} has succeeded: it can only be resumed with a longer target than its {_length(run)}",
            run.state,
        )
    count = run.resolved.get("dataset_images")
    if (kimg is not None or count is not None) and config.total_images(count or 0) < shown:
        raise InvalidLength(
            f"run {run.id} has been shown {shown / 1000:g} kimg already, and cannot end before that: give a "
            "longer one, or publish an earlier snapshot"
        )
    return config.model_dump(mode="json")


def _length(run: Run) -> str:
    return f"{run.config['epochs']:g} epochs" if run.config["epochs"] is not None else f"{run.config['kimg']:g} kimg"


def _is_longer(run: Run, config: TrainingConfig) -> bool:
    before = TrainingConfig.model_validate(run.config)
    if before.epochs is not None and config.epochs is not None:
        return config.epochs > before.epochs
    if before.kimg is not None and config.kimg is not None:
        return config.kimg > before.kimg
    # An epoch's images are known once the run has seen its data set.
    count = run.resolved.get("dataset_images")
    if count is None:
        raise InvalidLength(f"the length of run {run.id} is {_length(run)}: give the new one in the same unit")
    return config.total_images(count) > before.total_images(count)


def _refuse(run: Run | None, run_id: str, what: str) -> Run:
    if run is None:
        raise UnknownRun(f'there is no run "{run_id}"')
    state = "being cancelled" if run.wanted == "cancelled" else run.state
    raise WrongState(f"run {run.id} is {state} and cannot be {what}", run.state)
