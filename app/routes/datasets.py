"""`/datasets`: the built-in sets of images to train on; preparing them is the workers' work."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

from fastapi import APIRouter, Depends
from pydantic import BaseModel, Field

from app.deps import HouseDep, no_query
from app.paging import Page, PagingQuery, page
from app.problems import Problem, phrase, responses
from app.security import Requires
from models.catalogue import BUILTIN, BuiltinDataset

router = APIRouter(prefix="/datasets", tags=["datasets"], dependencies=[Requires("train")])


class Dataset(BaseModel):
    """A data set and what is known about it."""

    name: str
    title: str
    state: Annotated[
        Literal["ready", "remote"], Field(description="remote: its files are downloaded when a run first needs them")
    ]
    count: Annotated[int, Field(description="images")]
    classes: tuple[str, ...]
    size: Annotated[int, Field(description="pixels on each side, as published")]
    channels: Annotated[int, Field(description="1: grey; 3: colour")]
    licence: str
    source: str
    findings: Annotated[list[str], Field(description="a sentence per file that could not be used")] = []


def _describe(dataset: BuiltinDataset, datasets_dir: Path) -> Dataset:
    state = "ready" if dataset.is_here(datasets_dir) else "remote"
    return Dataset.model_validate({**dataset.model_dump(exclude={"folder"}), "state": state})


@router.get("", summary="List the data sets", responses=responses(422))
def list_datasets(house: HouseDep, paging: PagingQuery) -> Page[Dataset]:
    """List the data sets in the order of their names."""
    datasets_dir = house.settings.datasets_dir
    return page({name: _describe(dataset, datasets_dir) for name, dataset in BUILTIN.items()}, paging)


@router.get("/{name}", summary="Show one data set", dependencies=[Depends(no_query)], responses=responses(404, 422))
def get_dataset(house: HouseDep, name: str) -> Dataset:
    """Describe one data set."""
    if name not in BUILTIN:
        raise Problem(404, phrase(404), f'there is no data set "{name}": known are {", ".join(BUILTIN)}')
    return _describe(BUILTIN[name], house.settings.datasets_dir)
