"""What can go wrong with records, in the words of the house; callers decide what each means over HTTP."""

from __future__ import annotations


class RecordsError(Exception):
    """Base of everything that `models.records` raises on purpose."""


class RecordsUnavailable(RecordsError):
    """The database cannot be reached or cannot work now; the same call may succeed later."""


class UnknownRun(RecordsError, LookupError):
    """There is no run of that id."""


class WrongState(RecordsError):
    """The run's state does not admit what was asked of it."""

    def __init__(self, message: str, state: str) -> None:
        super().__init__(message)
        self.state = state


class UnknownDatasetRow(RecordsError, LookupError):
    """There is no uploaded data set of that name."""


class DatasetExists(RecordsError):
    """There is an uploaded data set of that name."""


class DatasetInUse(RecordsError):
    """A run that has not ended uses the data set."""


class IdempotencyConflict(RecordsError):
    """An idempotency key came again with another request."""


class InvalidCursor(RecordsError, ValueError):
    """A cursor was not one that a list gave out."""


class InvalidLength(RecordsError, ValueError):
    """A resumption's length cannot be used."""


class LeaseLost(RecordsError):
    """The run is no longer held under that token: stop working on it."""


class Fenced(LeaseLost):
    """A newer attempt holds the run: nothing may be published under the old token."""
