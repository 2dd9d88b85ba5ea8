"""Loads the shared fixtures: one module per real service under `tests/fixtures/`."""

pytest_plugins = [
    "tests.fixtures.folders",
    "tests.fixtures.models",
    "tests.fixtures.postgres",
    "tests.fixtures.redis",
    "tests.fixtures.service",
    "tests.fixtures.runs",
]
