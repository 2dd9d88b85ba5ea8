from __future__ import annotations

import subprocess
import sys

import pytest


@pytest.mark.parametrize("module", ["models.inputs", "models.store.local", "models.store.publishing"])
def test_torch_is_imported_only_where_tensors_are_made(module: str) -> None:
    code = f"import sys, {module}; print('torch' in sys.modules)"
    answer = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert answer.stdout == "False\n"
