"""How the service is, and how it describes itself."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path

from models.verdicts import VERDICTS
from tests.fixtures.runs import Harness
from tests.fixtures.service import Service, serving

ROOT = Path(__file__).parents[3]


def test_process_that_answers_is_alive(harness: Harness) -> None:
    assert harness.http.get("/healthz").json() == {"status": "alive"}


def test_service_is_ready_once_its_default_model_is_loaded(service: Service) -> None:
    answer = service.client.get("/readyz")
    assert answer.status_code == 200
    assert answer.json() == {
        "status": "ready",
        "detail": "digits@1 is loaded",
        "redis": "none",
        "database": "up",
        "workers": "none",
    }


def test_service_without_its_default_model_is_not_ready_and_says_why(tmp_path: Path) -> None:
    with serving(tmp_path, model="nobody") as service:
        answer = service.client.get("/readyz")
        assert (answer.status_code, answer.headers["content-type"]) == (503, "application/problem+json")
        assert "nobody" in answer.json()["detail"]
        assert (answer.json()["database"], answer.json()["redis"]) == ("up", "none")


def test_workers_are_counted_by_queue(harness: Harness) -> None:
    for name, queue in (("a", "train"), ("b", "background"), ("c", "train")):
        harness.app_state.records.worker_seen(name, "host", 1, 1, queue)
    assert harness.http.get("/readyz").json()["workers"] == "1 background, 2 train"


def test_metrics_count_by_route_template(harness: Harness) -> None:
    for run in ("one", "two", "three"):
        harness.http.get(f"/train/{run}")
    harness.http.get("/made/up")
    harness.train()
    text = harness.http.get("/metrics").text
    assert 'atelier_requests_total{method="GET",route="/train/{run_id}",status="404"} 3.0' in text
    assert 'route="/made/up"' not in text
    assert 'atelier_runs{state="queued"}' in text
    assert 'atelier_up{service="database"} 1.0' in text


def test_metrics_count_images(service: Service) -> None:
    service.client.get("/samples", params={"n": 7}).raise_for_status()
    assert 'atelier_images_total{model="digits"} 7.0' in service.client.get("/metrics").text


def test_schema_refers_only_to_what_it_holds(harness: Harness) -> None:
    schema = harness.http.get("/openapi.json").json()
    referred = set(re.findall(r'"#/components/schemas/([^"]+)"', json.dumps(schema)))
    assert referred <= set(schema["components"]["schemas"])
    operations = [operation for methods in schema["paths"].values() for operation in methods.values()]
    assert all(operation["summary"] and operation["tags"] for operation in operations)
    assert all("application/problem+json" in operation["responses"]["422"]["content"] for operation in operations)


def test_schema_has_words_for_each_verdict(harness: Harness) -> None:
    schemas = harness.http.get("/openapi.json").json()["components"]["schemas"]
    names = schemas["HealthView"]["properties"]["verdict"]["anyOf"][0]
    assert names["enum"] == list(VERDICTS)
    for words in ("titles", "descriptions", "advice", "severities"):
        assert len(names[f"x-enum-{words}"]) == len(VERDICTS)


def test_importing_the_app_loads_no_torch() -> None:
    code = (
        "import sys, app.main; app.main.create_app; print(sorted({'torch', 'celery', 'matplotlib'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"
