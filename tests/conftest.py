"""Loads the shared fixtures: one module per real service under `tests/fixtures/`."""

import os
import signal

# Before torch is imported, here and in what tests start: processes that each take every core slow each other 10 times.
os.environ.setdefault("OMP_NUM_THREADS", "1")

# A shell's background job inherits that interrupts are ignored, and what tests interrupt would inherit it from here.
signal.signal(signal.SIGINT, signal.default_int_handler)

pytest_plugins = [
    "tests.fixtures.browser",
    "tests.fixtures.folders",
    "tests.fixtures.models",
    "tests.fixtures.postgres",
    "tests.fixtures.redis",
    "tests.fixtures.service",
    "tests.fixtures.runs",
]
