"""Folders of a run's attempts, and the names of files by position."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Final, NamedTuple

from models.artifacts.json_lines import append_line, utc_now
from models.files import replace_file

# Key of a line of `ticks.jsonl` that is not a tick: earlier ticks beyond its `images` are undone.
ROLLED_BACK: Final = "rolled_back_from"

_TOKEN = re.compile(r"0|[1-9][0-9]*", re.ASCII)
_KIMG_NAME = re.compile(r"([0-9]{6,})\.([0-9]{3})", re.ASCII)
_CHECKPOINT_NAME = re.compile(r"([0-9]{6,}\.[0-9]{3})(?:-([1-9][0-9]*))?", re.ASCII)


def kimg_name(images: int) -> str:
    """Return the name of an artifact by position: `000512.000` for 512,000 images. Names sort by position."""
    return f"{images // 1000:06d}.{images % 1000:03d}"


def parse_kimg_name(name: str) -> int | None:
    match = _KIMG_NAME.fullmatch(name)
    return int(match[1]) * 1000 + int(match[2]) if match else None


class Position(NamedTuple):
    """Position of a run, ordered by rollbacks, then images."""

    # First in the order: after a rollback the images are fewer, but the position is later.
    rollbacks: int
    images: int

    @property
    def name(self) -> str:
        """The name of its checkpoint: `000512.000`, or `000512.000-2` after two rollbacks."""
        return kimg_name(self.images) + (f"-{self.rollbacks}" if self.rollbacks else "")

    @classmethod
    def parse(cls, name: str) -> Position | None:
        """Return the position that a checkpoint's name gives, or None if it is not such a name."""
        match = _CHECKPOINT_NAME.fullmatch(name)
        images = parse_kimg_name(match[1]) if match else None
        return cls(int(match[2] or 0), images) if match and images is not None else None


class Attempt:
    """Folder of one attempt: `config.json events.jsonl ticks.jsonl log checkpoints/ snapshots/ best/`."""

    def __init__(self, run_dir: Path, token: int) -> None:
        self.token = token
        self.dir = run_dir / str(token)
        self.config = self.dir / "config.json"
        self.events = self.dir / "events.jsonl"
        self.ticks = self.dir / "ticks.jsonl"
        self.log = self.dir / "log"
        self.checkpoints = self.dir / "checkpoints"
        self.rollback_checkpoints = self.dir / "best"
        self.snapshots = self.dir / "snapshots"
        self.real = self.dir / "real.png"

    def create(self) -> None:
        """Create the folders that do not exist yet."""
        self.checkpoints.mkdir(parents=True, exist_ok=True)
        self.rollback_checkpoints.mkdir(exist_ok=True)
        self.snapshots.mkdir(exist_ok=True)

    def roll_back(self, images: int, rolled_back_from: int) -> None:
        """Undo what this attempt and earlier ones did beyond a position.

        Raises:
            OSError: writing failed; readers may then still see some of it.
        """
        start = self.start_images()
        if start is not None and images < start:
            # Readers drop what earlier attempts did beyond the start of this one.
            config = json.loads(self.config.read_text(encoding="utf-8"))
            replace_file(self.config, json.dumps({**config, "start_images": images}, indent=1).encode())
        for path in self.snapshots.iterdir():
            if (parse_kimg_name(path.stem) or 0) > images:
                path.unlink()
        append_line(self.ticks, {"images": images, ROLLED_BACK: rolled_back_from, "time": utc_now()})

    def start_images(self) -> int | None:
        start = self.start()
        return None if start is None else start.images

    def start(self) -> Position | None:
        """Read from `config.json` where this attempt began; None before the trainer has started."""
        # A rollback to before that position lowers the images.
        try:
            config = json.loads(self.config.read_text(encoding="utf-8"))
        except (OSError, ValueError):
            return None
        images = config.get("start_images") if isinstance(config, dict) else None
        return Position(config.get("start_rollbacks", 0), images) if isinstance(images, int) else None


def list_attempts(run_dir: Path) -> list[Attempt]:
    """List the attempts of a run, oldest first."""
    try:
        tokens = sorted(int(entry.name) for entry in run_dir.iterdir() if _TOKEN.fullmatch(entry.name))
    except FileNotFoundError:
        return []
    return [Attempt(run_dir, token) for token in tokens]
