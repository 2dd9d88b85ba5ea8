"""Decisions at the first start of a run: device, precision, threads, length, evaluations."""

from __future__ import annotations

from typing import Annotated, Any, Literal, cast

from pydantic import ConfigDict, Field, with_config
from typing_extensions import TypedDict

from models.config.values import Frozen
from models.scores import EvaluationSchedule

ComputePrecision = Literal["fp32", "bf16"]


class Resolved(Frozen):
    """The decisions, as a run's row and its checkpoints carry them.

    Schedules run over `annealed_images`, the first length of the run: a longer target does not stretch them. With
    several devices `device` names them all, as `ATELIER_DEVICE` does, and `threads` are those of each process. Where a
    device has not the memory for its share of a batch, that is cut into `accumulate` slices, whose gradients are added
    up. `compiled`, and `recorded` as CUDA graphs, say what the device and its tools turned out to be able to do.
    `preset` is the one behind `auto`, for which there are also `reasons` and the `config` that was chosen.
    """

    preset: str
    device: str
    device_name: str
    precision: ComputePrecision
    compiled: bool = False
    recorded: bool = False
    threads: int
    batch_size: int
    accumulate: int = 1
    total_images: int
    annealed_images: int
    dataset_images: int
    mirrored: bool = False
    held_out: int = 0
    data: str
    torch: str
    evaluation: EvaluationSchedule | None = None
    reasons: tuple[str, ...] = ()
    config: Annotated[dict[str, Any] | None, Field(exclude_if=lambda config: config is None)] = None

    @property
    def device_names(self) -> list[str]:
        """The devices, one for each rank."""
        return self.device.split(",")

    def row(self) -> ResolvedRow:
        """Return the values as a run's row holds them."""
        return cast(ResolvedRow, self.model_dump())


# Rows of other versions of the program may have other keys too: they are kept.
@with_config(ConfigDict(extra="allow"))
class ResolvedRow(TypedDict, total=False):
    """The decisions in a run's row; empty before its first start."""

    preset: str
    device: Annotated[str, Field(description="several are separated by commas", examples=["cpu", "cuda:0,cuda:1"])]
    device_name: str
    precision: ComputePrecision
    compiled: bool
    recorded: Annotated[bool, Field(description="whether rounds are recorded as CUDA graphs")]
    threads: Annotated[int, Field(description="of each process")]
    batch_size: int
    accumulate: Annotated[int, Field(description="slices of a batch, whose gradients are added up")]
    total_images: Annotated[int, Field(description="the run's length")]
    annealed_images: Annotated[int, Field(description="the length that schedules run over")]
    dataset_images: int
    held_out: Annotated[int, Field(description="images that are never trained on, with which scores compare")]
    mirrored: Annotated[bool, Field(description="whether each image is also shown mirrored")]
    data: Annotated[str, Field(description="SHA-256 of the prepared images")]
    torch: Annotated[str, Field(description="its version")]
    evaluation: EvaluationSchedule | None
    reasons: Annotated[list[str], Field(description="a sentence for each choice of preset=auto")]
    config: Annotated[dict[str, Any], Field(description="the configuration that preset=auto chose")]
