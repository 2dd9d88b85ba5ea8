"""The OpenAPI schema, `/openapi.json`: FastAPI's, with errors described as problem details."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi
from pydantic import TypeAdapter

from app.http.problems import ErrorItem, ProblemBody, responses
from models.artifacts.payloads import RunEvents

_REF = "#/components/schemas/{model}"
_REPLACED = ("HTTPValidationError", "ValidationError")


def install(app: FastAPI) -> None:
    """Replace the schema that `app` generates."""

    def openapi() -> dict[str, Any]:
        if app.openapi_schema is None:
            app.openapi_schema = _describe(app)
        return app.openapi_schema

    app.openapi = openapi  # type: ignore[method-assign]  # the way FastAPI documents


def _describe(app: FastAPI) -> dict[str, Any]:
    schema = get_openapi(
        title=app.title,
        version=app.version,
        description=app.description,
        routes=app.routes,
        tags=app.openapi_tags,
        separate_input_output_schemas=app.separate_input_output_schemas,
    )
    schemas = schema["components"]["schemas"]
    for name in _REPLACED:
        schemas.pop(name, None)
    for model in (ErrorItem, ProblemBody):
        schemas[model.__name__] = model.model_json_schema(ref_template=_REF)
        schemas[model.__name__].pop("$defs", None)
    # FastAPI does not find the payloads of event streams, because they are no operation's body.
    events = TypeAdapter(RunEvents).json_schema(ref_template=_REF)
    schemas |= {**events.pop("$defs"), RunEvents.__name__: events}
    for operation in _operations(schema):
        # Every operation refuses unknown parameters; most of them require a key.
        refusals = responses(401, 403, 422) if "security" in operation else responses(422)
        operation["responses"] |= {str(status): answer for status, answer in refusals.items()}
    return schema


def _operations(schema: dict[str, Any]) -> Iterator[dict[str, Any]]:
    return (operation for methods in schema["paths"].values() for operation in methods.values())
