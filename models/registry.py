"""Registries: losses, penalties, augmentations, methods and families by name, and fields that hold such a name."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final, Generic, Protocol, TypeVar

from pydantic import GetCoreSchemaHandler, GetJsonSchemaHandler
from pydantic.json_schema import JsonSchemaValue
from pydantic_core import CoreSchema, PydanticKnownError, core_schema


class Spec(Protocol):
    """What every registered specification has: a name for programs, a title and a sentence for people."""

    @property
    def name(self) -> str: ...
    @property
    def title(self) -> str: ...
    @property
    def sentence(self) -> str: ...


S = TypeVar("S", bound=Spec)


class Registry(Generic[S]):
    """Specifications of one kind by name, in the order of their registration.

    Args:
        kind: one of them, in error messages, such as "loss".
    """

    def __init__(self, kind: str) -> None:
        self.kind: Final = kind
        self._specs: dict[str, S] = {}

    def register(self, spec: S) -> S:
        """Add a specification and return it.

        Raises:
            ValueError: the name is taken.
        """
        if spec.name in self._specs:
            raise ValueError(f'there is a {self.kind} "{spec.name}" already')
        self._specs[spec.name] = spec
        return spec

    def unregister(self, name: str) -> None:
        """Remove a specification.

        Raises:
            KeyError: none has that name.
        """
        del self._specs[name]

    def get(self, name: str) -> S:
        """Look a specification up.

        Raises:
            KeyError: none has that name.
        """
        return self._specs[name]

    def names(self) -> tuple[str, ...]:
        """List the names in the order of registration."""
        return tuple(self._specs)

    def __iter__(self) -> Iterator[S]:
        return iter(tuple(self._specs.values()))

    def __contains__(self, name: object) -> bool:
        return name in self._specs


class Registered:
    """Pydantic metadata of a string that names a registered specification: `Annotated[str, Registered(LOSSES)]`.

    The JSON schema has the names as `enum`, and titles and sentences as `x-enum-titles` and `x-enum-descriptions`. All
    follow the registry at the time of validation.
    """

    def __init__(self, registry: Registry[Any]) -> None:
        self._registry = registry

    def __get_pydantic_core_schema__(self, source: type[object], handler: GetCoreSchemaHandler) -> CoreSchema:
        return core_schema.no_info_plain_validator_function(self._check)

    def __get_pydantic_json_schema__(self, schema: CoreSchema, handler: GetJsonSchemaHandler) -> JsonSchemaValue:
        specs = list(self._registry)
        return {
            "type": "string",
            "enum": [spec.name for spec in specs],
            "x-enum-titles": [spec.title for spec in specs],
            "x-enum-descriptions": [spec.sentence for spec in specs],
        }

    def _check(self, value: object) -> str:
        if isinstance(value, str) and value in self._registry:
            return value
        # The error of a `Literal`, so that clients see the same message for every choice.
        *others, last = [repr(name) for name in self._registry.names()]
        expected = f"{', '.join(others)} or {last}" if others else last
        raise PydanticKnownError("literal_error", {"expected": expected})
