"""What `/metrics` shows of sampling, by model."""

from __future__ import annotations

import re
import threading
from pathlib import Path

import pytest

from tests.fixtures.service import Service, serving


def figures(service: Service) -> dict[str, float]:
    """Read all figures, by name and labels."""
    lines = service.client.get("/metrics").text.splitlines()
    return {name: float(value) for name, value in (line.rsplit(" ", 1) for line in lines if not line.startswith("#"))}


def test_what_became_of_requests_is_counted(service: Service) -> None:
    tag = service.client.get("/samples?n=3&seed=1").headers["ETag"]
    for _ in range(2):
        service.client.get("/samples?n=3&seed=1")
    service.client.get("/samples?n=3&seed=1", headers={"If-None-Match": tag})
    service.client.get("/samples?n=5&seed=2&format=npy")
    measured = figures(service)
    answers = {
        how: measured[f'atelier_answers_total{{how="{how}",model="digits"}}'] for how in ("made", "kept", "known")
    }
    assert answers == {"made": 2, "kept": 2, "known": 1}
    assert measured['atelier_images_total{model="digits"}'] == 3 * 3 + 5
    assert measured["atelier_answer_cache_bytes"] > 0
    assert measured["atelier_flight_bytes"] == 0


def test_the_device_and_the_encoders_are_timed_and_batches_are_counted(service: Service) -> None:
    service.client.get("/samples?n=3&seed=1&model=petals")
    service.client.get("/samples?n=3&seed=1&model=petals&format=zip")
    measured = figures(service)
    assert measured['atelier_tile_images_total{model="petals"}'] == 6
    assert measured['atelier_tile_places_total{model="petals"}'] >= 6
    assert measured['atelier_device_seconds_total{model="petals"}'] > 0
    assert measured['atelier_queue_seconds_count{model="petals"}'] == 2
    service.client.get("/samples?n=3&seed=1&model=petals&format=webp")
    assert 'atelier_encode_seconds_total{kind="webp frames",model="petals"}' not in figures(service)
    service.client.get("/walk?seeds=1,2&frames=2&scale=1&model=petals")
    measured |= figures(service)
    for kind in ("png", "zip", "webp", "webp frames"):
        assert measured[f'atelier_encode_seconds_total{{kind="{kind}",model="petals"}}'] > 0


def test_a_refusal_for_overload_is_counted(service: Service, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(service.app.state.atelier.engine.admission, "seconds_ahead", lambda: 99.0)
    assert service.client.get("/samples").status_code == 503
    measured = figures(service)
    assert measured['atelier_refused_total{model="digits"}'] == 1
    assert measured["atelier_wait_seconds"] == 99


def test_gauges_are_read_where_they_change(service: Service, monkeypatch: pytest.MonkeyPatch) -> None:
    read_in: list[str] = []

    def seconds_ahead() -> float:
        read_in.append(threading.current_thread().name)
        return 0.0

    monkeypatch.setattr(service.app.state.atelier.engine.admission, "seconds_ahead", seconds_ahead)
    figures(service)
    # The event loop's thread, as the fixture calls it.
    assert read_in == ["service"]


def test_names_that_clients_make_up_are_no_labels(tmp_path: Path, model_root: Path) -> None:
    with serving(tmp_path, model_dir=model_root) as service:
        service.ready()
        for name in ("nobody", "digits@9", "x" * 60):
            assert service.client.get(f"/samples?model={name}").status_code == 404
        models = re.findall(r'model="([^"]*)"', service.client.get("/metrics").text)
    assert set(models) <= {"digits", "petals", "starter"}
