"""Problem details (RFC 9457): every error response is `application/problem+json`, without internal details."""

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
    """One error in the input: its location and a message."""

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
    """An error that is sent to the client unchanged.

    Args:
        status: HTTP status, 400 to 599.
        title: the kind of problem in a few words; constant for one kind.
        detail: the error in this request, its place, and the remedy.
        errors: for invalid input, each with `loc` and `msg`, as attributes or keys.
        headers: additional response headers, such as `Retry-After`.
        members: additional members of the JSON object, for programs.
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
    """Return the reason phrase of a status (RFC 9110); empty for an unknown status."""
    # Python 3.11 still has the phrase that RFC 9110 replaced.
    return "Unprocessable Content" if status == 422 else http.client.responses.get(status, "")


def _type(status: int, title: str) -> str:
    # `about:blank` adds nothing to the status (RFC 9457, section 4.2.1); other kinds of problems have their own type.
    slug = re.sub(r"[^a-z0-9]+", "-", title.lower()).strip("-")
    return "about:blank" if title == phrase(status) else f"/problems/{slug}"


def retry_later(title: str, detail: str, seconds: int = 5) -> Problem:
    """Return a 503 with `Retry-After` in seconds."""
    return Problem(503, title, detail, headers={"Retry-After": str(seconds)})


def wrong_parameter(name: str, message: str) -> ErrorItem:
    """Return an error of one query parameter, for `invalid`."""
    return ErrorItem(loc=("query", name), msg=message)


def invalid(errors: Sequence[object]) -> Problem:
    """Return a 422 that lists every error of the input; `detail` joins the first eight."""
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
    """Register exception handlers, so that every error of `app` becomes a problem."""
    app.add_exception_handler(Problem, _on_problem)
    app.add_exception_handler(RequestValidationError, _on_invalid)
    app.add_exception_handler(HTTPException, _on_http)
    app.add_exception_handler(RecordsUnavailable, _on_unavailable)
    app.add_exception_handler(Exception, _on_crash)


def responses(*statuses: int) -> dict[int | str, dict[str, Any]]:
    """Return the OpenAPI responses of these statuses: `responses=responses(404, 422)`."""
    content = {MEDIA_TYPE: {"schema": {"$ref": "#/components/schemas/ProblemBody"}}}
    return {status: {"description": phrase(status), "content": content} for status in statuses}
