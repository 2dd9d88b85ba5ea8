"""What films take while they are made."""

from __future__ import annotations

import pytest

from app.sampling.walks import WalkQuery, order
from models.pictures import AnimationFormat
from tests.fixtures.service import Service


def held(service: Service, film_format: AnimationFormat, frames: int) -> int:
    version = service.app.state.atelier.sampler.resolve("petals")
    job = order(WalkQuery(seeds=(1, 2), frames=frames, scale=10), film_format, version, service.settings)
    return job.container.held(job)


@pytest.mark.parametrize("film_format", ["gif", "mp4"])
def test_a_film_that_leaves_while_it_is_made_counts_as_a_second_of_it(
    shared_service: Service, film_format: AnimationFormat
) -> None:
    assert held(shared_service, film_format, 800) < held(shared_service, "webp", 800) // 8
    frame = 3 * 28**2
    # Each image that is painted ahead counts; the frames made of them are gone.
    assert held(shared_service, film_format, 801) - held(shared_service, film_format, 800) <= 3 * frame
    assert held(shared_service, film_format, 100) == held(shared_service, "webp", 100)
