"""The whole house as its users run it: `atelier up` as a process, the other commands and HTTP against it."""

import contextlib
import http.client
import json
import os
import re
import signal
import subprocess
import sys
import tempfile
import urllib.request
from collections.abc import Iterator
from io import BytesIO
from pathlib import Path

import pytest
from PIL import Image

from tests.fixtures.harness import ATELIER, Harness
from tests.fixtures.waiting import gone, until

STOP_SECONDS = 10
TINY = [
    "--preset", "mlp-mnist", "--dataset", "mnist-mini", "--set", "tick_kimg=0.1", "--set", "batch_size=20",
    "--set", "generator.network.hidden=[8]", "--set", "discriminator.network.hidden=[8]",
]  # fmt: skip
# Enough work to be going on until it is stopped.
ENDLESS = [*TINY, "--kimg", "1000000"]


@pytest.fixture(scope="module")
def data() -> Iterator[Path]:
    """One data directory, under a path that is short enough for a socket and needs quoting."""
    with tempfile.TemporaryDirectory(prefix="a house+") as directory:
        yield Path(directory) / "data"


@pytest.fixture(scope="module")
def harness(data: Path) -> Iterator[Harness]:
    with Harness(data) as running:
        yield running.wait_until_ready()


def test_the_first_request_paints_a_grid_of_the_starter(harness: Harness) -> None:
    with Image.open(BytesIO(harness.get("/samples?n=25"))) as grid:
        assert (grid.format, grid.mode, grid.size) == ("PNG", "L", (152, 152))


def test_sample_writes_the_picture_and_tells_what_it_is_of(harness: Harness, tmp_path: Path) -> None:
    target = tmp_path / "grid.png"

    result = harness.atelier("sample", "-n", "25", "--seed", "7", "-o", str(target))

    assert result.stdout == f"{target}: 25 images of starter@2, seed 7\n", result.stderr
    assert target.read_bytes() == harness.get("/samples?n=25&seed=7")


def test_a_refused_request_is_told_in_words_and_leaves_no_file(harness: Harness, tmp_path: Path) -> None:
    result = harness.atelier("sample", "-n", "0", "-o", str(tmp_path / "grid.png"))

    assert result.returncode == 1
    assert re.match(r"atelier: .+\n  query\.n: .+\n$", result.stderr)
    assert list(tmp_path.iterdir()) == []


def test_models_lists_the_starter(harness: Harness) -> None:
    assert re.search(r"^starter +1 +latest=2$", harness.atelier("models").stdout, re.MULTILINE)


def test_train_with_an_unknown_preset_fails_and_names_the_place(harness: Harness) -> None:
    result = harness.atelier("train", "--preset", "mlp-mnits")

    assert result.returncode == 1
    assert "preset" in result.stderr
    assert "mlp-mnist" in result.stderr


def test_a_followed_run_trains_publishes_and_is_served(harness: Harness) -> None:
    result = harness.atelier("train", *TINY, "--model", "digits", "--kimg", "0.4", "--follow")

    assert result.returncode == 0, result.stdout + result.stderr
    assert re.search(r"^run \w+: mlp-mnist on mnist-mini, to be published as digits$", result.stdout, re.MULTILINE)
    assert re.search(r"^100%  kimg 0\.4/0\.4 .* D \d", result.stdout, re.MULTILINE)
    assert "published digits@" in result.stdout
    assert result.stdout.endswith("succeeded\n")
    until(lambda: "digits@" in str(json.loads(harness.get("/readyz"))), "the new version as the default", 30)
    assert re.search(r"succeeded +mlp-mnist +mnist-mini +digits +100% of 0.4 kimg", harness.atelier("runs").stdout)


def test_ctrl_c_while_following_leaves_the_run_going_and_says_so(harness: Harness) -> None:
    command = [ATELIER, "train", *ENDLESS, "--follow", "--url", harness.url]
    with subprocess.Popen(command, env=harness.environment, stdout=subprocess.PIPE, text=True) as follower:
        assert follower.stdout
        run = follower.stdout.readline().split()[1].rstrip(":")
        while follower.stdout.readline() != "running\n":
            assert follower.poll() is None
        follower.send_signal(signal.SIGINT)
        rest = follower.stdout.read()

    assert follower.returncode == 130
    assert rest.endswith(f"the run continues; show it again with: atelier follow {run}\n")
    assert json.loads(harness.get(f"/train/{run}"))["state"] == "running"


def test_a_second_service_in_the_same_directory_is_refused(harness: Harness) -> None:
    result = subprocess.run(
        [ATELIER, "up"], env=harness.environment, capture_output=True, text=True, timeout=60, check=False
    )

    assert result.returncode == 1
    assert result.stderr.startswith(
        f"atelier: another `atelier up` (process {harness.process.pid}) uses {harness.data}:"
    )


@pytest.mark.parametrize("name", ["redis", "background", "app"])
def test_a_killed_child_is_started_again_and_the_service_continues(harness: Harness, name: str) -> None:
    killed = harness.processes()[name]

    os.kill(killed, signal.SIGKILL)

    until(lambda: harness.processes().get(name, killed) != killed, f"another {name}", 30)
    assert f"{name} exited (killed by SIGKILL); restarting in 0.5 s" in harness.text()

    def answers() -> bool:
        with contextlib.suppress(OSError, http.client.HTTPException):
            return bool(harness.get("/samples?n=1"))
        return False

    until(answers, "a picture", 60)


def test_a_trainer_dies_with_its_killed_worker(harness: Harness) -> None:
    processes = until(lambda: "trainer" in (now := harness.processes()) and now, "a training", 60)
    assert isinstance(processes, dict)

    os.kill(processes["train"], signal.SIGKILL)

    until(lambda: gone(processes["trainer"]), "the trainer to die", 20)


def test_killing_up_leaves_nothing_running(harness: Harness) -> None:
    until(lambda: {"redis", "app", "train", "background"} <= harness.processes().keys(), "every child", 60)

    os.kill(harness.process.pid, signal.SIGKILL)

    until(lambda: not harness.remains(), "everything to die with `up`", 20)


def test_ctrl_c_ends_everything_in_time_with_a_stream_open_and_a_run_going(tmp_path: Path) -> None:
    with Harness(tmp_path / "data") as harness:
        harness.wait_until_ready()
        run = harness.atelier("train", *ENDLESS).stdout.split()[1].rstrip(":")
        with urllib.request.urlopen(f"{harness.url}/train/{run}/events", timeout=60) as stream:
            until(lambda: stream.readline().startswith(b"event: tick"), "a tick", 120)

            harness.process.send_signal(signal.SIGINT)

            assert harness.process.wait(STOP_SECONDS) == 0
            stream.read()

        assert harness.remains() == []
        assert harness.text().endswith("stopping\nstopped\n")

    # The run was handed over, not lost: it waits for the next `up`.
    events = (tmp_path / "data" / "runs" / run / "1" / "events.jsonl").read_text().splitlines()
    assert [json.loads(line)["data"]["state"] for line in events if '"state"' in line][-1] == "queued"
    assert any((tmp_path / "data" / "runs" / run / "1" / "checkpoints").iterdir())


def test_a_taken_port_is_told_before_anything_starts(tmp_path: Path) -> None:
    with subprocess.Popen(
        [sys.executable, "-m", "http.server", "0", "--bind", "127.0.0.1"],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
        env=os.environ | {"PYTHONUNBUFFERED": "1"},
    ) as other:
        assert other.stdout
        found = re.search(r"port (\d+)", other.stdout.readline())
        assert found
        with Harness(tmp_path / "data", ATELIER_PORT=found[1]) as harness:
            assert harness.process.wait(60) == 1
        other.kill()

    assert harness.text().startswith(f"atelier: cannot listen on 127.0.0.1:{found[1]} (Address already in use)")
    assert not (tmp_path / "data" / "logs").exists()


def test_an_app_that_cannot_start_ends_the_house_and_says_why(tmp_path: Path) -> None:
    with Harness(tmp_path / "data", ATELIER_HOST="0.0.0.0") as harness:
        assert harness.process.wait(60) == 1

    assert "the app could not start" in harness.text()
    assert "atelier keys add" in harness.text()
    assert harness.text().endswith("stopped\n")
