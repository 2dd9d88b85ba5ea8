"""Memory that animations take while they are encoded."""

from __future__ import annotations

import pytest

from app.sampling.planning import plan_walk
from app.sampling.queries import WalkQuery
from models.pictures import AnimationFormat
from tests.fixtures.service import Service


def peak_bytes(service: Service, animation_format: AnimationFormat, frames: int) -> int:
    version = service.app.state.atelier.engine.resolve("petals")
    query = WalkQuery(seeds=(1, 2), frames=frames, scale=10)
    plan = plan_walk(query, animation_format, service.settings, version, "fingerprint")
    return plan.encoder.peak_bytes(plan)


@pytest.mark.parametrize("animation_format", ["gif", "mp4"])
def test_a_streamed_animation_counts_as_a_second_of_it(
    shared_service: Service, animation_format: AnimationFormat
) -> None:
    assert peak_bytes(shared_service, animation_format, 800) < peak_bytes(shared_service, "webp", 800) // 8
    frame = 3 * 28**2
    # Each image that is generated ahead counts; the frames made of them are gone.
    assert (
        peak_bytes(shared_service, animation_format, 801) - peak_bytes(shared_service, animation_format, 800)
        <= 3 * frame
    )
    assert peak_bytes(shared_service, animation_format, 100) == peak_bytes(shared_service, "webp", 100)
