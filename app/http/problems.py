"""RFC 9457 errors: every answer that is no success leaves as `application/problem+json`, without inner details."""

from __future__ import annotations

import http.client
import re
from collections.abc import Mapping, Sequence
from typing import Any

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from pydantic import BaseModel, Field
from starlette.exceptions import HTTPException
from starlette.responses import Response

from models.records import RecordsUnavailable

MEDIA_TYPE = "application/problem+json"


class ErrorItem(BaseModel):
    """One thing that is wrong with the input: where, and what."""

    loc: tuple[str | int, ...] = Field(examples=[("query", "n")])
    msg: str = Field(examples=["Input should be greater than or equal to 1"])


class ProblemBody(BaseModel):
    """RFC 9457 problem details."""

    type: str = Field(examples=["about:blank"])
    title: str = Field(examples=["Unprocessable Content"])
    status: int = Field(examples=[422])
    detail: str
    errors: list[ErrorItem] | None = Field(default=None, description="for invalid input")


class Problem(Exception):
    """An error that a client should see as it is.

    Args:
        status: HTTP status, 400 to 599.
        title: the kind of problem in a few words, the same every time it occurs.
        detail: what was wrong this time, where, and what to do.
        errors: for invalid input, each with `loc` and `msg`, as attributes or keys.
        headers: to send along, such as `Retry-After`.
        members: further members of the answer, for programs.
    """

    def __init__(
        self,
        status: int,
        title: str,
        detail: str,
        errors: Sequence[object] | None = None,
        headers: Mapping[str, str] | None = None,
        members: Mapping[str, object] | None = None,
    ) -> None:
        super().__init__(f"{status} {title}: {detail}")
        self.status = status
        self.title = title
        self.detail = detail
        self.errors = (
            None if errors is None else [ErrorItem.model_validate(error, from_attributes=True) for error in errors]
        )
        self.headers = dict(headers or {})
        self.members = dict(members or {})

    def response(self) -> JSONResponse:
        """Give the problem as an HTTP answer."""
        body = ProblemBody(
            type=_type(self.status, self.title),
            title=self.title,
            status=self.status,
            detail=self.detail,
            errors=self.errors,
        )
        content = {**body.model_dump(mode="json", exclude_none=True), **self.members}
        return JSONResponse(content, self.status, self.headers, media_type=MEDIA_TYPE)


def _item(error: object) -> ErrorItem:
    return ErrorItem.model_validate(error, from_attributes=True)


def phrase(status: int) -> str:
    """Name a status in HTTP's own words; empty for one that HTTP does not know."""
    # Python 3.11 still calls it by the name that RFC 9110 has replaced.
    return "Unprocessable Content" if status == 422 else http.client.responses.get(status, "")


def _type(status: int, title: str) -> str:
    """`about:blank` says no more than the status does; any other kind of problem gets a name of its own."""
    slug = re.sub(r"[^a-z0-9]+", "-", title.lower()).strip("-")
    return "about:blank" if title == phrase(status) else f"/problems/{slug}"


def retry_later(title: str, detail: str, seconds: int = 5) -> Problem:
    """Say 503, and when to come back."""
    return Problem(503, title, detail, headers={"Retry-After": str(seconds)})


def wrong_parameter(name: str, message: str) -> ErrorItem:
    """Name what is wrong with a parameter of the query; for `invalid`."""
    return ErrorItem(loc=("query", name), msg=message)


def invalid(errors: Sequence[object]) -> Problem:
    """Say 422, naming everything that is wrong with the input."""
    items = [_item(error) for error in errors]
    detail = "; ".join(f"{'.'.join(str(part) for part in item.loc)}: {item.msg}" for item in items[:8])
    return Problem(422, phrase(422), detail, items)


def _message(error: Mapping[str, Any]) -> str:
    if error["type"] == "extra_forbidden":
        where = "parameter" if error["loc"][0] == "query" else "field"
        return f'there is no {where} "{error["loc"][-1]}" here: check its spelling'
    if error["type"] == "json_invalid":
        return f"no valid JSON: {error['ctx']['error']}"
    return str(error["msg"]).removeprefix("Value error, ")


async def _on_problem(_: Request, exception: Exception) -> Response:
    assert isinstance(exception, Problem)
    return exception.response()


async def _on_invalid(_: Request, exception: Exception) -> Response:
    assert isinstance(exception, RequestValidationError)
    return invalid([{"loc": error["loc"], "msg": _message(error)} for error in exception.errors()]).response()


async def _on_http(request: Request, exception: Exception) -> Response:
    assert isinstance(exception, HTTPException)
    status = exception.status_code
    detail = {
        404: f"there is nothing at {request.url.path}",
        405: f"{request.url.path} does not answer {request.method}",
    }.get(status, exception.detail)
    return Problem(status, phrase(status), detail, headers=exception.headers).response()


async def _on_unavailable(_: Request, exception: Exception) -> Response:
    return retry_later("Database away", f"{exception}; try again in a moment").response()


async def _on_crash(request: Request, _: Exception) -> Response:
    # The server logs the exception itself; its text may hold paths or data and stays inside.
    detail = f"{request.method} {request.url.path} failed inside the service; its log says why"
    return Problem(500, phrase(500), detail).response()


def install(app: FastAPI) -> None:
    """Make every error of `app` a problem."""
    app.add_exception_handler(Problem, _on_problem)
    app.add_exception_handler(RequestValidationError, _on_invalid)
    app.add_exception_handler(HTTPException, _on_http)
    app.add_exception_handler(RecordsUnavailable, _on_unavailable)
    app.add_exception_handler(Exception, _on_crash)


def responses(*statuses: int) -> dict[int | str, dict[str, Any]]:
    """Describe problems in the API's schema: `responses=responses(404, 422)`."""
    content = {MEDIA_TYPE: {"schema": {"$ref": "#/components/schemas/ProblemBody"}}}
    return {status: {"description": phrase(status), "content": content} for status in statuses}
