"""A run on two devices under its real supervisor: torchrun and two gloo ranks, stopped and killed on the way."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

import pytest

from models.artifacts.attempts import Attempt
from models.artifacts.events import read_events
from models.artifacts.history import read_ticks
from models.config.training import TrainingConfig
from models.records import Records, Run
from models.store.local import LocalStore
from tests.fixtures.redis import RedisServer
from tests.fixtures.waiting import gone, until
from tests.worker.training.tiny import tiny
from worker.jobs.notifier import Notifier
from worker.jobs.runs import RunJobs
from worker.settings import WorkerSettings, device_count

pytestmark = pytest.mark.chaos


class Harness:
    """A worker that owns two devices, as far as runs go."""

    def __init__(self, redis_url: str) -> None:
        self.settings = WorkerSettings(redis_url=redis_url, poll_seconds=0.1, beat_seconds=0.2)
        self.records = Records(self.settings.database_url)
        self.records.migrate()
        self._hints = Notifier(redis_url)

    def create(self, config: TrainingConfig) -> Run:
        run, _ = self.records.create_run(config, {"preset": config.preset}, None)
        return run

    def work(self, act: Callable[[Run], object] = lambda _run: None) -> Run:
        """Claim a run and see it through, acting on it meanwhile."""
        run = self.records.claim_run("tester", device_count(self.settings.device))
        assert run is not None
        jobs = RunJobs(self.records, self.settings, self._hints, threading.Event())
        thread = threading.Thread(target=jobs.supervise, args=(run,))
        thread.start()
        try:
            act(run)
        finally:
            thread.join(240)
        assert not thread.is_alive()
        found = self.records.get_run(run.id)
        assert found is not None
        return found

    def attempt(self, run: Run) -> Attempt:
        return Attempt(self.settings.runs_dir / run.id, run.token)

    def wait_for_a_checkpoint(self, run: Run) -> None:
        until(lambda: any(self.attempt(run).checkpoints.glob("[0-9]*")), "a checkpoint", 200)

    def ranks(self, run: Run) -> dict[int, int]:
        """Find the process of each rank of a run."""
        found = {}
        for process in Path("/proc").glob("[0-9]*"):
            try:
                command = (process / "cmdline").read_text().split("\0")
                environment = (process / "environ").read_text().split("\0")
            except OSError:
                continue
            if "worker.jobs.train" in command and run.id in command:
                found.update({int(entry[5:]): int(process.name) for entry in environment if entry.startswith("RANK=")})
        return found

    def published(self, run: Run) -> list[tuple[int, str]]:
        """Return position and sha256 of each version of the run."""
        (info,) = [model for model in LocalStore(self.settings.model_dir).models() if model.name == run.model]
        manifests = [version.manifest for version in info.versions if version.manifest is not None]
        return [
            (manifest.provenance.images, manifest.files["generator.safetensors"].sha256)
            for manifest in manifests
            if manifest.provenance.run == run.id
        ]


@pytest.fixture
def harness(tmp_path: Path, redis_server: RedisServer, monkeypatch: pytest.MonkeyPatch) -> Iterator[Harness]:
    monkeypatch.setenv("ATELIER_DATA_DIR", str(tmp_path / "with a space"))
    monkeypatch.setenv("ATELIER_DEVICE", "cpu,cpu")
    monkeypatch.setenv("ATELIER_THREADS", "2")
    made = Harness(redis_server.url)
    with closing(made.records):
        yield made


CONFIG = tiny("quick-28", kimg=20, devices=2, precision="fp32")


def test_a_run_on_two_devices_is_killed_and_paused_and_ends_in_the_bytes_of_one_left_alone(harness: Harness) -> None:
    harness.create(CONFIG)
    calm = harness.work()
    assert (calm.state, calm.error) == ("succeeded", None)
    assert calm.resolved.items() >= {"device": "cpu,cpu", "threads": 1, "accumulate": 1}.items()

    harness.create(CONFIG)
    pids: list[int] = []

    def kill_rank_1(run: Run) -> None:
        harness.wait_for_a_checkpoint(run)
        pids.extend(harness.ranks(run).values())
        os.kill(harness.ranks(run)[1], signal.SIGKILL)

    run = harness.work(kill_rank_1)
    assert (run.state, run.failures) == ("queued", 1)
    assert "rank 1 of the training died first" in harness.attempt(run).log.read_text()
    assert len(pids) == 2
    until(lambda: all(gone(pid) for pid in pids), "both ranks to be gone")

    def pause(run: Run) -> None:
        harness.wait_for_a_checkpoint(run)
        harness.records.pause(run.id)

    run = harness.work(pause)
    assert (run.state, run.failures) == ("paused", 0)
    harness.records.resume(run.id)
    run = harness.work()
    assert (run.state, run.error) == ("succeeded", None)

    logged = [event.data["message"] for event in read_events(harness.settings.runs_dir / run.id) if event.type == "log"]
    assert len([line for line in logged if line.startswith("resumed from ") and "not exact" not in line]) == 2
    assert harness.published(run) == harness.published(calm)
    positions = [tick["images"] for tick in read_ticks(harness.settings.runs_dir / run.id)]
    assert positions == [tick["images"] for tick in read_ticks(harness.settings.runs_dir / calm.id)]


def test_a_reason_to_fail_reaches_the_row_from_rank_0(harness: Harness) -> None:
    harness.create(CONFIG.model_copy(update={"dataset": "folder:nowhere"}))
    run = harness.work()
    assert run.state == "failed"
    assert "nowhere" in str(run.error)


def test_ranks_end_with_their_supervisor(harness: Harness) -> None:
    """The pipe of the supervisor is passed on to them."""
    harness.create(tiny("quick-28", kimg=100_000, devices=2))
    pids: list[int] = []

    def lose_the_parent(run: Run) -> None:
        harness.wait_for_a_checkpoint(run)
        pids.extend(harness.ranks(run).values())
        (parent,) = {int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1]) for pid in pids}
        os.kill(parent, signal.SIGKILL)

    assert harness.work(lose_the_parent).state == "queued"
    until(lambda: all(gone(pid) for pid in pids), "both ranks to be gone")
