from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.worker.training.tiny import tiny
from worker.training.schedule import Schedule, annealed, crossed, thin


def test_a_position_is_crossed_when_a_multiple_lies_behind_it() -> None:
    assert crossed(96, 128, 100)
    assert crossed(64, 128, 128)
    assert not crossed(100, 199, 100)


@given(rounds=st.integers(20, 400), batch=st.integers(2, 300), parts=st.integers(1, 20))
def test_every_part_of_a_run_is_crossed_once_and_the_last_at_its_end(rounds: int, batch: int, parts: int) -> None:
    total = rounds * batch
    ends = [
        position for position in range(batch, total + 1, batch) if crossed(position - batch, position, total / parts)
    ]
    assert len(ends) == parts
    assert ends[-1] == total


def test_a_schedule_counts_images_of_whole_batches() -> None:
    schedule = Schedule.of(tiny(kimg=8.01), count=6000)
    assert schedule.total == 8000
    assert schedule.tick == 2000
    assert schedule.snapshot == 2000
    assert schedule.publish == 2000


def test_few_positions_are_all_kept() -> None:
    assert thin([0, 10, 20], keep=3) == []


def test_thinning_keeps_both_ends_and_an_even_spread() -> None:
    kept: list[int] = []
    for position in range(0, 1001, 10):
        kept.append(position)
        kept = [value for value in kept if value not in thin(kept, keep=24)]
    assert len(kept) == 24
    assert (kept[0], kept[-1]) == (0, 1000)
    gaps = [after - before for before, after in pairwise(kept)]
    assert max(gaps) <= 8 * min(gaps)


def test_half_a_cosine_leads_from_start_to_end_and_no_further() -> None:
    assert [annealed(2.0, 1.0, progress) for progress in (0.0, 0.5, 1.0, 7.0)] == pytest.approx([2.0, 1.5, 1.0, 1.0])
    assert annealed(0.0, 1.0, 1 / 3) == pytest.approx(0.25)
    assert annealed(3.0, None, 0.7) == 3.0
