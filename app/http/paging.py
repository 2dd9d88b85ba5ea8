"""Lists of named things in pages: `limit` and `cursor` in, `items` and `next` out. Runs page in the database."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Generic, TypeVar

from fastapi import Query
from pydantic import BaseModel, ConfigDict, Field

from models.config.values import NAME

Item = TypeVar("Item")


class Paging(BaseModel):
    """What a list of names takes; the cursor is the last name of the page before, so that deletions do not upset it."""

    model_config = ConfigDict(extra="forbid")

    limit: Annotated[int, Field(ge=1, le=200, description="items per page")] = 50
    cursor: Annotated[str | None, Field(pattern=NAME, description="`next` of the page before")] = None


PagingQuery = Annotated[Paging, Query()]


class Page(BaseModel, Generic[Item]):
    """One page of a list; `next` is null on the last one."""

    items: list[Item]
    next: str | None


def page(items: Mapping[str, Item], paging: Paging) -> Page[Item]:
    """Cut the page that was asked for out of `items`, in the order of their names."""
    names = sorted(name for name in items if paging.cursor is None or name > paging.cursor)
    shown = names[: paging.limit]
    return Page(items=[items[name] for name in shown], next=shown[-1] if len(names) > len(shown) else None)
