"""The studio in a real browser against a whole house: one journey from a zip of pictures to a model."""

from __future__ import annotations

import pytest

from tests.fixtures.browser import View

pytestmark = pytest.mark.browser


def test_first_view_is_without_fault(view: View) -> None:
    view.open("/").settle()
    assert view.violations() == []
