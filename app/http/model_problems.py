"""Problem responses for errors of the model store and of the sampling engine."""

from __future__ import annotations

from fastapi import FastAPI, Request
from starlette.responses import Response

from app.engine.admission import Overloaded
from app.engine.batcher import Stopped
from app.http.problems import Problem, invalid, phrase, retry_later
from models.store.errors import (
    AliasConflict,
    DoesNotFit,
    InvalidName,
    ModelError,
    ReadOnlyModel,
    UnknownModel,
    VersionInUse,
    VersionNotReady,
)


def problem_of(error: ModelError) -> Problem:
    """Return the problem for an error of the model store."""
    match error:
        case UnknownModel():
            return Problem(404, phrase(404), str(error))
        case InvalidName():
            return invalid([{"loc": ("path",), "msg": str(error)}])
        case DoesNotFit(seconds=seconds):
            return retry_later("No Memory", str(error), seconds)
        case VersionNotReady():
            return Problem(409, "Version Not Ready", str(error))
        case AliasConflict() | VersionInUse() | ReadOnlyModel():
            return Problem(409, phrase(409), str(error))
    raise error


def install(app: FastAPI) -> None:
    """Register handlers that respond to these errors with problems, on every route."""
    app.add_exception_handler(ModelError, _on_model_error)
    app.add_exception_handler(Overloaded, _on_overload)
    app.add_exception_handler(Stopped, _on_stopped)


async def _on_model_error(_: Request, error: Exception) -> Response:
    assert isinstance(error, ModelError)
    return problem_of(error).response()


async def _on_overload(_: Request, error: Exception) -> Response:
    assert isinstance(error, Overloaded)
    return retry_later("Overloaded", str(error), error.retry_after).response()


async def _on_stopped(_: Request, error: Exception) -> Response:
    return retry_later("Stopping", str(error)).response()
