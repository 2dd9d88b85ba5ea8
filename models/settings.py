"""The settings that the app and the workers share, and the layout of the data directory.

`app.settings` and `worker.settings` each extend this; nothing else reads the environment.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated, Self

from pydantic import Field, model_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

from models.datasets.members import Limits


class SharedSettings(BaseSettings):
    """What both sides need to find each other: directories, database, Redis, device, threads."""

    model_config = SettingsConfigDict(env_prefix="ATELIER_", env_ignore_empty=True, extra="ignore", frozen=True)

    data_dir: Path = Path("data")
    model_dir: Path = Path()
    datasets_dir: Path = Path()
    images_dir: Path = Path()
    database_url: str = ""
    redis_url: str = ""
    device: str = "auto"
    uploads_quota_bytes: Annotated[int, Field(ge=1, description="room for all uploaded data sets together")] = 64 << 30
    spare_bytes: Annotated[int, Field(ge=0, description="room on the disk that uploads leave to everything else")] = (
        1 << 30
    )
    max_upload_files: Annotated[int, Field(ge=1, le=10_000_000, description="files in an archive")] = 100_000
    max_unpacked_bytes: Annotated[int, Field(ge=1, description="what an archive may unpack to")] = 16 << 30
    max_file_bytes: Annotated[int, Field(ge=1, description="one image file in an archive")] = 128 << 20
    max_upload_ratio: Annotated[int, Field(ge=2, description="what an archive may unpack to, in its own size")] = 200
    threads: Annotated[int, Field(ge=0, le=1024, description="0: this process's share of the cores")] = 0

    @model_validator(mode="before")
    @classmethod
    def _defaults_under_data_dir(cls, values: dict[str, object]) -> dict[str, object]:
        data = Path(str(values.get("data_dir", "data"))).absolute()
        values["data_dir"] = data
        values.setdefault("model_dir", data / "models")
        values.setdefault("datasets_dir", data / "datasets")
        values.setdefault("images_dir", data / "images")
        values.setdefault("database_url", f"sqlite:///{data / 'atelier.db'}")
        return values

    @model_validator(mode="after")
    def _absolute(self) -> Self:
        for name in ("model_dir", "datasets_dir", "images_dir"):
            object.__setattr__(self, name, getattr(self, name).absolute())
        return self

    @property
    def runs_dir(self) -> Path:
        """Artefacts and events of runs: `RUN/TOKEN/`."""
        return self.data_dir / "runs"

    @property
    def prepared_dir(self) -> Path:
        """Decoded data sets, memory-mapped by the trainer."""
        return self.data_dir / "prepared"

    @property
    def evaluation_dir(self) -> Path:
        """What evaluations look with: classifiers of data sets, and Inception's weights where they are there."""
        return self.data_dir / "evaluation"

    @property
    def uploads_dir(self) -> Path:
        """Uploaded data sets, a folder each: the archive and what was prepared from it."""
        return self.data_dir / "uploads"

    @property
    def upload_limits(self) -> Limits:
        """The most that an uploaded archive may hold."""
        return Limits(self.max_upload_files, self.max_unpacked_bytes, self.max_file_bytes, self.max_upload_ratio)

    @property
    def calibration_dir(self) -> Path:
        """Numerics chosen once per network and machine."""
        return self.data_dir / "calibration"


def available_cores() -> int:
    """Count the cores this process may use: its affinity, cut down to a cgroup quota (v2 or v1) if there is one."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else (os.cpu_count() or 1)
    quota = _cgroup_quota()
    return max(1, min(cores, int(quota))) if quota is not None else cores


def _cgroup_quota() -> float | None:
    try:
        limit, period = Path("/sys/fs/cgroup/cpu.max").read_text().split()
        return None if limit == "max" else int(limit) / int(period)
    except (OSError, ValueError):
        pass
    try:
        limit = Path("/sys/fs/cgroup/cpu/cpu.cfs_quota_us").read_text().strip()
        period = Path("/sys/fs/cgroup/cpu/cpu.cfs_period_us").read_text().strip()
        return None if int(limit) <= 0 else int(limit) / int(period)
    except (OSError, ValueError):
        return None


def app_threads() -> int:
    """Return the app's share of the cores: a quarter, at least one."""
    return max(1, available_cores() // 4)


def training_threads() -> int:
    """Return a training's share of the cores: all of them, at a lower priority than the app's (`models.priority`)."""
    return available_cores()
