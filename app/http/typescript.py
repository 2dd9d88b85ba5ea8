"""The API's schema as TypeScript, for the type check of the page's calls.

    python -m app.http.typescript > app/web/src/api/schema.d.ts

`Schemas` holds the JSON bodies, `Operations` the parameters and responses of each route. The build does not need the
file: types are erased from the scripts that browsers load. The package openapi-typescript writes its types with the
compiler's own tree, which TypeScript has no more since 7.
"""

from __future__ import annotations

import json
import re
import sys
from typing import Any

from app.main import create_app
from app.settings import AppSettings

_SCALARS = {"string": "string", "integer": "number", "number": "number", "boolean": "boolean", "null": "null"}
_NAME = re.compile(r"[A-Za-z_]\w*")

Schema = dict[str, Any]


def render(schema: Schema) -> str:
    """Return the TypeScript declarations of an OpenAPI schema."""
    types = [f"  {_key(name)}: {_type(body)};" for name, body in sorted(schema["components"]["schemas"].items())]
    operations = [
        f"  {json.dumps(f'{method.upper()} {path}')}: {_operation(operation)};"
        for path, methods in sorted(schema["paths"].items())
        for method, operation in methods.items()
    ]
    parts = ["export interface Schemas {", *types, "}", "", "export interface Operations {", *operations, "}", ""]
    return "\n".join(parts)


def _type(schema: Schema) -> str:
    if "$ref" in schema:
        return f"Schemas[{json.dumps(schema['$ref'].rpartition('/')[2])}]"
    if "const" in schema:
        return json.dumps(schema["const"])
    if "enum" in schema:
        return _union(json.dumps(value) for value in schema["enum"])
    for several in ("anyOf", "oneOf"):
        if several in schema:
            return _union(_type(option) for option in schema[several])
    kind = schema.get("type")
    if kind == "array":
        return f"({_type(schema.get('items', {}))})[]"
    if kind == "object":
        return _object(schema)
    return _SCALARS.get(str(kind), "unknown")


def _union(options: Any) -> str:
    return " | ".join(dict.fromkeys(options))


def _object(schema: Schema) -> str:
    if "properties" not in schema:
        by_pattern = next(iter(schema.get("patternProperties", {}).values()), None)
        values = by_pattern or schema.get("additionalProperties")
        return f"Record<string, {_type(values) if isinstance(values, dict) else 'unknown'}>"
    required = set(schema.get("required", ()))
    return _fields({name: (_type(body), name in required) for name, body in schema["properties"].items()})


def _fields(fields: dict[str, tuple[str, bool]]) -> str:
    inside = (f"{_key(name)}{'' if required else '?'}: {text}" for name, (text, required) in fields.items())
    return f"{{ {'; '.join(inside)} }}" if fields else "Record<never, never>"


def _operation(operation: Schema) -> str:
    body = _content(operation["requestBody"]) if "requestBody" in operation else None
    parts = {
        "path": _given(operation, "path"),
        "query": _given(operation, "query"),
        "body": body or "undefined",
        "response": _response(operation),
    }
    return _fields({name: (text, True) for name, text in parts.items()})


def _given(operation: Schema, where: str) -> str:
    named = [parameter for parameter in operation.get("parameters", ()) if parameter["in"] == where]
    return _fields(
        {parameter["name"]: (_parameter(parameter), parameter.get("required", False)) for parameter in named}
    )


def _parameter(parameter: Schema) -> str:
    text = _type(parameter["schema"])
    # Seeds go up to 2^63 - 1, which JavaScript's numbers do not hold: clients may write them as text.
    return f"{text} | string" if re.search(r"\bnumber\b", text) else text


def _response(operation: Schema) -> str:
    contents = [_content(response) for status, response in operation["responses"].items() if status.startswith("2")]
    known = [content for content in contents if content is not None]
    return _union(known) if known else "undefined"


def _content(part: Schema) -> str | None:
    """Return the type of a JSON or form body; None for any other body."""
    for media_type, content in part.get("content", {}).items():
        if media_type in ("application/json", "multipart/form-data"):
            return _type(content.get("schema", {}))
    return None


def _key(name: str) -> str:
    return name if _NAME.fullmatch(name) else json.dumps(name)


if __name__ == "__main__":
    sys.stdout.write(render(create_app(AppSettings()).openapi()))
