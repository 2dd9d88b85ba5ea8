"""The folders of a run's attempts, named by their fencing tokens."""

from __future__ import annotations

import json
import re
from pathlib import Path

from models.artifacts.json_lines import append_line, now
from models.artifacts.positions import Position, images_of
from models.files import replace_file

_TOKEN = re.compile(r"0|[1-9][0-9]*", re.ASCII)

ROLLED_BACK = "rolled_back_from"
"""In `ticks.jsonl`, marks a line that is no tick: what lies above its `images` before it never happened."""


class Attempt:
    """One attempt's folder: `config.json events.jsonl ticks.jsonl log checkpoints/ snapshots/ best/`."""

    def __init__(self, run_dir: Path, token: int) -> None:
        self.token = token
        self.dir = run_dir / str(token)
        self.config = self.dir / "config.json"
        self.events = self.dir / "events.jsonl"
        self.ticks = self.dir / "ticks.jsonl"
        self.log = self.dir / "log"
        self.checkpoints = self.dir / "checkpoints"
        self.refuges = self.dir / "best"
        self.snapshots = self.dir / "snapshots"
        self.real = self.dir / "real.png"

    def create(self) -> None:
        """Make the folders; idempotent."""
        self.checkpoints.mkdir(parents=True, exist_ok=True)
        self.refuges.mkdir(exist_ok=True)
        self.snapshots.mkdir(exist_ok=True)

    def roll_back(self, images: int, rolled_back_from: int) -> None:
        """Drop what this attempt and earlier ones did beyond a position.

        Raises:
            OSError: it could not be written; then readers may still see some of it.
        """
        start = self.start_images()
        if start is not None and images < start:
            config = json.loads(self.config.read_text(encoding="utf-8"))
            replace_file(self.config, json.dumps({**config, "start_images": images}, indent=1).encode())
        for path in self.snapshots.iterdir():
            if (images_of(path.stem) or 0) > images:
                path.unlink()
        append_line(self.ticks, {"images": images, ROLLED_BACK: rolled_back_from, "time": now()})

    def start_images(self) -> int | None:
        """Images done where this attempt began, or further back where it went; None before the trainer has begun."""
        start = self.start()
        return None if start is None else start.images

    def start(self) -> Position | None:
        """Where this attempt began, or with fewer images where it went back; None before the trainer has begun.

        It is written into `config.json`.
        """
        try:
            config = json.loads(self.config.read_text(encoding="utf-8"))
        except (OSError, ValueError):
            return None
        images = config.get("start_images") if isinstance(config, dict) else None
        return Position(config.get("start_rollbacks", 0), images) if isinstance(images, int) else None


def attempts(run_dir: Path) -> list[Attempt]:
    """List a run's attempts, oldest first."""
    try:
        tokens = sorted(int(entry.name) for entry in run_dir.iterdir() if _TOKEN.fullmatch(entry.name))
    except FileNotFoundError:
        return []
    return [Attempt(run_dir, token) for token in tokens]
