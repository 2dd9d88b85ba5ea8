from __future__ import annotations

from pathlib import Path

import pytest

from models.artifacts.attempts import Attempt


@pytest.fixture
def attempt(tmp_path: Path) -> Attempt:
    """Return the first attempt at a run."""
    made = Attempt(tmp_path, 1)
    made.create()
    return made
