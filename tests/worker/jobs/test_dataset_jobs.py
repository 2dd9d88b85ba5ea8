"""Uploaded data sets in the hands of a worker: prepared by real processes, handed over, given up, deleted meanwhile."""

from __future__ import annotations

import sys
import threading
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import pytest
from celery import Celery

from models import broker as messages
from models.datasets.catalogue import DatasetProblem
from models.datasets.uploads import UploadFolder, new_folder
from models.records import Dataset, Records, new_id
from tests.fixtures.hostile import picture, zipped
from tests.fixtures.redis import RedisServer
from tests.fixtures.waiting import gone, until
from tests.fixtures.workers import workers
from worker.data.uploads import open_upload
from worker.jobs.datasets import PREPARER, DatasetJobs
from worker.jobs.notifier import Notifier
from worker.settings import WorkerSettings

ARCHIVE = zipped({f"{kind}/{n}.png": picture(color=(n, 9, 9)) for kind in ("cat", "dog") for n in range(3)})
SLOW = "import sys, time, pathlib; pathlib.Path(sys.argv[1]).write_text(str(__import__('os').getpid())); time.sleep(99)"
DYING = "import os; os.abort()"
KILLED_ONCE = """
import os, signal, sys
from models.datasets.uploads import UploadFolder
from worker.data import uploads
from worker.jobs.prepare import main

set_progress, first = UploadFolder.set_progress, True

def killing(folder, done, total):
    global first
    set_progress(folder, done, total)
    with (folder.path / "from").open("a+") as starts:
        if first:
            starts.write(f"{done} ")
        first = False
        starts.seek(0)
        again = len(starts.read().split()) > 1
    if done == 300 and not again:
        os.kill(os.getpid(), signal.SIGKILL)

uploads._PROGRESS_SECONDS = -1.0
UploadFolder.set_progress = killing
sys.exit(main(sys.argv[1:]))
"""


class Harness:
    """A database, uploads, and workers that prepare on threads of the test."""

    def __init__(self, folder: Path, records: Records) -> None:
        self.folder = folder
        self.records = records
        self.pid = folder / "pid"

    @property
    def uploads(self) -> Path:
        return self.settings().uploads_dir

    def settings(self, **changes: Any) -> WorkerSettings:
        quick = {"look_seconds": 0.1, "poll_seconds": 0.1, "beat_seconds": 0.1, "grace_seconds": 20}
        return WorkerSettings(data_dir=self.folder, **(quick | changes))

    def upload(self, archive: bytes = ARCHIVE, name: str = "pets", **options: Any) -> Dataset:
        with new_folder(self.uploads, new_id()) as folder:
            folder.archive.write_bytes(archive)
            return self.records.create_dataset(folder.path.name, name, options, len(archive))

    def jobs(self, command: Sequence[str] = PREPARER, **changes: Any) -> tuple[DatasetJobs, threading.Event]:
        stopping = threading.Event()
        notifier = Notifier("redis://127.0.0.1:1/0")
        return DatasetJobs(self.records, self.settings(**changes), notifier, stopping, command), stopping

    @contextmanager
    def working(self, code: str, **changes: Any) -> Iterator[threading.Event]:
        """Let a worker prepare by running `code`; stopped at the end."""
        jobs, stopping = self.jobs((sys.executable, "-c", code, str(self.pid)), **changes)
        thread = threading.Thread(target=jobs.work, args=("w",))
        thread.start()
        try:
            until(lambda: self.pid.exists() and self.pid.read_text(), "the preparation to begin", seconds=30)
            yield stopping
        finally:
            stopping.set()
            thread.join()

    def row(self, name: str = "pets") -> Dataset:
        row = self.records.get_dataset(name)
        assert row is not None
        return row


@pytest.fixture
def harness(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Harness]:
    monkeypatch.setenv("ATELIER_DATA_DIR", str(tmp_path))
    monkeypatch.setenv("ATELIER_MAX_IMAGE_PIXELS", "10000")
    with closing(Records(f"sqlite:///{tmp_path / 'atelier.db'}")) as records:
        records.migrate()
        yield Harness(tmp_path, records)


def test_every_waiting_upload_is_prepared(harness: Harness) -> None:
    made = harness.upload(size=32)
    harness.upload(name="more", size=28)
    harness.jobs()[0].work("w")
    rows = harness.records.list_datasets()
    assert [(row.name, row.state, row.report["size"]) for row in rows] == [("more", "ready", 28), ("pets", "ready", 32)]
    assert (rows[1].done, rows[1].total, rows[1].report["classes"]) == (6, 6, {"cat": 3, "dog": 3})
    prepared = open_upload("pets", 32, 3, records=harness.records, uploads_dir=harness.uploads)
    assert prepared.path == UploadFolder(harness.uploads / made.id).prepared
    assert prepared.labels is not None


def test_uploaded_set_of_another_size_is_a_problem(harness: Harness) -> None:
    harness.upload(size=32)
    with pytest.raises(DatasetProblem, match="is preparing"):
        open_upload("pets", 32, 3, records=harness.records, uploads_dir=harness.uploads)
    harness.jobs()[0].work("w")
    with pytest.raises(DatasetProblem, match="has 3x32x32 images, the run needs 1x28x28"):
        open_upload("pets", 28, 1, records=harness.records, uploads_dir=harness.uploads)
    with pytest.raises(DatasetProblem, match='no data set "cats"'):
        open_upload("cats", 28, 1, records=harness.records, uploads_dir=harness.uploads)


def test_what_cannot_be_prepared_fails_with_the_reason_and_gives_its_room_back(harness: Harness) -> None:
    made = harness.upload(zipped({"a.png": b"no image", "big.png": picture(size=(200, 200))}))
    harness.jobs()[0].work("w")
    row = harness.row()
    assert row.state == "failed"
    assert row.error is not None
    assert '"a.png" holds no picture of a known format' in row.error
    assert "at most 10,000 pixels" in row.error
    folder = UploadFolder(harness.uploads / made.id)
    assert not folder.archive.exists()
    assert not folder.work.exists()


def test_full_disk_is_a_reason(harness: Harness) -> None:
    made = harness.upload()
    (harness.uploads / made.id / ".progress.json").symlink_to("/dev/full")
    harness.jobs()[0].work("w")
    assert harness.row().state == "failed"
    assert str(harness.row().error).startswith("disk full: ")
    assert not (harness.uploads / made.id / ".failure.json").exists()


def test_third_death_ends_it_with_the_log(harness: Harness) -> None:
    harness.upload()
    harness.jobs((sys.executable, "-c", "print('last words', flush=True);" + DYING))[0].work("w")
    row = harness.row()
    assert (row.state, row.token) == ("failed", 3)
    assert row.error is not None
    assert "SIGABRT" in row.error
    assert "last words" in row.error


def test_image_that_kills_every_decoder_ends_it_though_attempts_come_unequally_far(harness: Harness) -> None:
    harness.upload()
    code = """
import json, os, sys
from models.datasets.uploads import UploadFolder
from worker.settings import settings

folder = UploadFolder(settings().uploads_dir / json.loads(sys.argv[1])["id"])
done = folder.progress()[0]
folder.set_progress(done + 10 if done else 300, 400)
os.abort()
"""
    harness.jobs((sys.executable, "-c", code))[0].work("w")
    assert (harness.row().state, harness.row().token, harness.row().done) == ("failed", 3, 320)


def test_room_of_a_data_set_that_another_worker_failed_is_given_back(harness: Harness) -> None:
    made = harness.upload()
    held = harness.records.claim_dataset("silent")
    assert held is not None
    harness.records.fail_dataset(held.claim, "its worker fell silent")
    harness.jobs()[0].work("w")
    assert not UploadFolder(harness.uploads / made.id).archive.exists()


def test_preparation_that_stands_still_is_killed(harness: Harness) -> None:
    harness.upload()
    harness.jobs((sys.executable, "-c", SLOW, str(harness.pid)), prepare_stall_seconds=0.3)[0].work("w")
    assert "read no file for 0.3 s" in str(harness.row().error)


def test_stopped_worker_hands_its_data_set_over(harness: Harness) -> None:
    harness.upload()
    code = "import signal; signal.signal(signal.SIGTERM, lambda *_: sys.exit(75));"
    with harness.working("import sys;" + code + SLOW) as stopping:
        assert harness.row().worker == "w"
        stopping.set()
        until(lambda: harness.row().worker is None, "the handover", seconds=30)
    assert (harness.row().state, harness.row().failures) == ("preparing", 0)
    harness.jobs()[0].work("w")
    assert (harness.row().state, harness.row().token) == ("ready", 2)


def test_preparation_too_slow_to_hand_over_is_killed_and_that_is_no_failure(harness: Harness) -> None:
    harness.upload()
    code = "import signal; signal.signal(signal.SIGTERM, signal.SIG_IGN);"
    with harness.working(code + SLOW, grace_seconds=0.2) as stopping:
        stopping.set()
        until(lambda: harness.row().worker is None, "the handover", seconds=30)
    assert gone(int(harness.pid.read_text()))
    assert (harness.row().state, harness.row().failures) == ("preparing", 0)


def test_deleted_data_set_is_dropped_and_its_files_go(harness: Harness) -> None:
    made = harness.upload()
    with harness.working(SLOW):
        harness.records.delete_dataset("pets")
        until(lambda: gone(int(harness.pid.read_text())), "the preparation to be ended", seconds=30)
    until(lambda: not (harness.uploads / made.id).exists(), "the files to go", seconds=30)


def test_upload_that_broke_off_is_swept_and_one_under_way_is_not(harness: Harness) -> None:
    (harness.uploads / "dead").mkdir(parents=True)
    (harness.uploads / "dead" / "archive").write_bytes(b"half")
    with new_folder(harness.uploads, "alive"):
        harness.jobs()[0].work("w")
        assert sorted(path.name for path in harness.uploads.iterdir() if path.is_dir()) == ["alive"]


def test_killed_preparation_is_gone_on_with(harness: Harness) -> None:
    made = harness.upload(zipped({f"{n}.png": picture(color=(n % 250, n // 250, 9)) for n in range(400)}), size=32)
    harness.jobs((sys.executable, "-c", KILLED_ONCE))[0].work("w")
    row = harness.row()
    assert (row.state, row.token, row.report["count"]) == ("ready", 2, 400)
    # What reached the disk with the 256th image was not done again.
    assert (harness.uploads / made.id / "from").read_text().split() == ["1", "257"]


def test_message_wakes_a_background_worker_that_hands_over_when_asked_to_stop(
    harness: Harness, own_redis: RedisServer
) -> None:
    with workers(harness.folder, f"sqlite:///{harness.folder / 'atelier.db'}", own_redis.url) as started:
        harness.folder = harness.folder / "data"
        # So rarely does this worker look by itself that only the message can have woken it.
        worker = started.start("background", ATELIER_LOOK_SECONDS="600")
        worker.wait_until_ready()
        harness.upload(size=32)
        with Celery("app", broker=messages.broker_url(own_redis.url), set_as_current=False) as app:
            app.send_task(messages.PREPARE_UPLOADS, queue=messages.BACKGROUND, expires=60, ignore_result=True)
        until(lambda: harness.row().state == "ready", "the data set to be prepared")
        worker.terminate()
        assert worker.wait() == 0
