"""Paging of lists that are sorted by name. Runs are paged by the database instead."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Generic, TypeVar

from fastapi import Query
from pydantic import BaseModel, ConfigDict, Field

from models.config.values import NAME

Item = TypeVar("Item")


class Paging(BaseModel):
    """Query parameters of a list."""

    model_config = ConfigDict(extra="forbid")

    limit: Annotated[int, Field(ge=1, le=200, description="items per page")] = 50
    # The last name of the previous page, so that deletions do not shift pages.
    cursor: Annotated[str | None, Field(pattern=NAME, description="`next` of the previous page")] = None


PagingQuery = Annotated[Paging, Query()]


class Page(BaseModel, Generic[Item]):
    """One page of a list; `next` is null on the last one."""

    items: list[Item]
    next: str | None


def page(items: Mapping[str, Item], paging: Paging) -> Page[Item]:
    """Return the requested page of `items`, sorted by name."""
    names = sorted(name for name in items if paging.cursor is None or name > paging.cursor)
    shown = names[: paging.limit]
    return Page(items=[items[name] for name in shown], next=shown[-1] if len(names) > len(shown) else None)
