"""Preparation of one uploaded data set, as a process: `python -m worker.jobs.prepare JSON`."""

from __future__ import annotations

import shutil
import signal
import sys
import threading

from pydantic import Field

from models import watchdog
from models.config.values import Frozen, Name
from models.datasets.catalogue import DatasetProblem
from models.datasets.uploads import Options, UploadFolder, folder_size
from models.priority import lower_priority
from worker.jobs.exit_codes import ExitCode, FailureNote, disk_full
from worker.settings import WorkerSettings, settings


class PrepareArguments(Frozen):
    """The arguments of the process."""

    id: str = Field(pattern="^[0-9a-z]+$")
    name: Name
    options: Options


def main(arguments: list[str]) -> ExitCode:
    """Prepare a data set until it is done or SIGTERM arrives, and return the exit code."""
    # A process of its own: hostile images could harm a decoder, and its memory is freed at the end.
    watchdog.die_with_parent()
    watchdog.watch(sys.stdin.buffer)
    lower_priority()
    stop = threading.Event()
    signal.signal(signal.SIGTERM, lambda _signal, _frame: stop.set())

    from worker.data.uploads import PreparationStopped, UploadPreparation

    job = PrepareArguments.model_validate_json(arguments[0])
    here = settings()
    folder = UploadFolder(here.uploads_dir / job.id)
    note = FailureNote(folder.path)
    try:
        UploadPreparation(
            folder,
            job.name,
            job.options,
            limits=here.upload_limits,
            max_pixels=here.max_image_pixels,
            free_bytes=lambda: free_bytes(here),
            stop_wanted=stop.is_set,
        ).run()
    except PreparationStopped:
        return ExitCode.STOPPED
    except DatasetProblem as problem:
        note.write(str(problem))
        return ExitCode.REFUSED
    except OSError as error:
        if not disk_full(error):
            raise
        note.write(f"disk full: {error}; make room, then upload it again")
        return ExitCode.REFUSED
    finally:
        note.discard()
    return ExitCode.COMPLETED


def free_bytes(settings: WorkerSettings) -> int:
    """Return the bytes left for uploads by their quota and by the disk."""
    free = shutil.disk_usage(settings.uploads_dir).free - settings.spare_bytes
    return min(free, settings.uploads_quota_bytes - folder_size(settings.uploads_dir))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
