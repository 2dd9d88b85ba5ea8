from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
import torch

from worker.data.ingest import prepare
from worker.data.prepared import Prepared


@pytest.fixture(scope="session")
def digits(tmp_path_factory: pytest.TempPathFactory) -> Prepared:
    """The 6,000 digits that ship, prepared."""
    folder: Path = tmp_path_factory.mktemp("prepared")
    return prepare("mnist-mini", 28, 1, datasets_dir=folder, images_dir=folder, prepared_dir=folder)


@pytest.fixture(autouse=True)
def one_thread() -> Iterator[None]:
    """Set what results depend on as the trainer does, and put it back."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    torch.set_flush_denormal(True)
    yield
    torch.set_flush_denormal(False)
    torch.set_num_threads(threads)
