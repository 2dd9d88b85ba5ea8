"""The compose stack without a GPU, built and run by a real engine: `make compose-test`."""

import json
import os
import re
import shutil
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from io import BytesIO
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from app.cli.up import free_port
from tests.fixtures.waiting import until

ROOT = Path(__file__).parents[2]
ATELIER = str(Path(sys.executable).with_name("atelier"))
PROJECT = "atelier-test"
STOP_GRACE_SECONDS = 60

pytestmark = [
    pytest.mark.compose,
    pytest.mark.timeout(1800),
    pytest.mark.skipif(shutil.which("docker") is None, reason="no docker command"),
]


class Stack:
    """The stack on a port of its own, beside any other of the same machine."""

    def __init__(self) -> None:
        port = free_port("127.0.0.1", 0)
        self.url = f"http://127.0.0.1:{port}"
        self._environment = os.environ | {"ATELIER_PORT": str(port), "COMPOSE_PROGRESS": "plain"}

    def compose(self, *arguments: str, timeout: float = 120) -> str:
        files = ("-f", "docker-compose.yml", "-f", "docker-compose.cpu.yml")
        command = ["docker", "compose", "-p", PROJECT, *files, *arguments]
        result = subprocess.run(
            command, cwd=ROOT, env=self._environment, stdout=subprocess.PIPE, text=True, timeout=timeout, check=True
        )
        return result.stdout

    def up(self) -> None:
        # Not `--wait`: older versions of compose call a service without a health check a failure.
        self.compose("up", "--build", "--detach", timeout=1500)
        until(lambda: self.containers()["app"]["Health"] == "healthy", "the app to be healthy", 120)

    def containers(self) -> dict[str, dict[str, Any]]:
        """Return what compose tells of each service."""
        lines = self.compose("ps", "--all", "--format", "json").splitlines()
        return {value["Service"]: value for value in map(json.loads, lines)}

    def atelier(self, *arguments: str) -> str:
        command = [ATELIER, *arguments, "--url", self.url]
        return subprocess.run(command, stdout=subprocess.PIPE, text=True, timeout=300, check=True).stdout

    def get(self, path: str) -> Any:
        with urllib.request.urlopen(self.url + path, timeout=60) as answer:
            return json.load(answer)


@pytest.fixture(scope="module")
def stack() -> Iterator[Stack]:
    stack = Stack()
    try:
        stack.up()
        yield stack
    finally:
        stack.compose("down", "--volumes", "--timeout", "5")


def test_every_service_is_up_and_only_the_app_is_published_and_only_here(stack: Stack) -> None:
    containers = stack.containers()

    assert {name: value["State"] for name, value in containers.items()} == dict.fromkeys(
        ("app", "background", "redis", "worker"), "running"
    )
    published = [port for value in containers.values() for port in value["Publishers"] if port["PublishedPort"]]
    assert [port["URL"] for port in published] == ["127.0.0.1"]


def test_nobody_is_root_and_the_root_file_system_is_read_only(stack: Stack) -> None:
    for service in ("app", "worker", "background"):
        assert stack.compose("exec", service, "id", "--user").strip() == "10001"
        with pytest.raises(subprocess.CalledProcessError):
            stack.compose("exec", service, "touch", "/atelier/here")


def test_the_starter_is_served_at_once(stack: Stack, tmp_path: Path) -> None:
    assert "25 images of starter@2" in stack.atelier("sample", "--seed", "7", "-o", str(tmp_path / "grid.png"))


def test_a_training_is_published_and_served(stack: Stack, tmp_path: Path) -> None:
    output = stack.atelier(
        "train", "--preset", "mlp-mnist", "--dataset", "mnist-mini", "--model", "digits", "--kimg", "3",
        "--set", "tick_kimg=1", "--follow",
    )  # fmt: skip
    assert output.endswith("succeeded\n")
    assert "published digits@1" in output

    until(lambda: any(model["name"] == "digits" for model in stack.get("/models")["items"]), "the model", 10)
    target = tmp_path / "grid.png"
    assert "25 images of digits@" in stack.atelier("sample", "--model", "digits", "-o", str(target))
    with Image.open(BytesIO(target.read_bytes())) as grid:
        assert grid.size == (152, 152)


def test_a_stopped_stack_hands_its_run_over_and_goes_on_with_it(stack: Stack) -> None:
    output = stack.atelier(
        "train", "--preset", "mlp-mnist", "--dataset", "mnist-mini", "--kimg", "100000", "--set", "tick_kimg=1"
    )
    found = re.match(r"run (\w+):", output)
    assert found
    run = f"/train/{found[1]}"
    before = until(lambda: stack.get(run)["progress"], "a tick", 120)

    stack.compose("stop", timeout=STOP_GRACE_SECONDS + 30)
    assert stack.containers()["worker"]["ExitCode"] == 0, "the worker was killed: its grace was too short"
    stack.up()

    until(lambda: stack.get(run)["token"] == 2, "a second attempt", 120)
    until(lambda: stack.get(run)["progress"]["kimg"] > before["kimg"], "the run to go on", 120)
    assert stack.get(run)["failures"] == 0, stack.compose("logs", "worker")


def test_with_a_gpu_the_app_and_the_worker_reserve_it_and_the_cpu_file_takes_it_away() -> None:
    def reserving(*files: str) -> set[str]:
        flags = [word for file in files for word in ("-f", file)]
        text = subprocess.run(
            ["docker", "compose", *flags, "config", "--format", "json"],
            cwd=ROOT,
            stdout=subprocess.PIPE,
            text=True,
            timeout=60,
            check=True,
        ).stdout
        return {name for name, service in json.loads(text)["services"].items() if service.get("deploy")}

    assert reserving("docker-compose.yml") == {"app", "worker"}
    assert reserving("docker-compose.yml", "docker-compose.cpu.yml") == set()
