"""The base of all plain values, and the error of those that do not fit together."""

from __future__ import annotations

from collections.abc import Sequence

from pydantic import BaseModel, ConfigDict


class Frozen(BaseModel):
    """A value: no field changes, no unknown field, infinity or NaN is accepted."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


class ConfigConflict(ValueError):
    """Settings that are each allowed but do not fit together.

    Args:
        problems: what is wrong and what to do, each with the dotted path of the setting to change.
    """

    def __init__(self, problems: Sequence[tuple[str, str]]) -> None:
        super().__init__("; ".join(f"{path}: {message}" for path, message in problems))
        self.problems = tuple(problems)
