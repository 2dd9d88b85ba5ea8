"""The data set of a run, opened or prepared, with the classes that the run was started with."""

from __future__ import annotations

from collections.abc import Callable

from models.config.training import TrainingConfig
from models.datasets.catalogue import is_uploaded
from models.records import Records
from models.settings import SharedSettings
from worker.data.ingest import prepare
from worker.data.prepared import Prepared
from worker.data.uploads import open_upload
from worker.training.failure import TrainingFailed


def open_dataset(
    config: TrainingConfig,
    records: Records,
    settings: SharedSettings,
    log: Callable[[str], None],
    on_progress: Callable[[int, int], None],
) -> Prepared:
    """Open a run's data set, and prepare it first where that is needed.

    Args:
        log: receives a line for each image that is left out.
        on_progress: called with the number of images prepared so far and their total.

    Raises:
        DatasetProblem: there is none, or none that can be used.
        TrainingFailed: its classes are not those that the run was started with.
    """
    shape = config.dataset, config.size, config.channels
    if is_uploaded(config.dataset):
        found = open_upload(*shape, records=records, uploads_dir=settings.uploads_dir)
    else:
        found = prepare(
            *shape,
            datasets_dir=settings.datasets_dir,
            images_dir=settings.images_dir,
            prepared_dir=settings.prepared_dir,
            on_progress=on_progress,
        )
        for skipped in found.skipped:
            log(f"{config.dataset}: {skipped}")
    _check_classes(config, found)
    return found


def _check_classes(config: TrainingConfig, prepared: Prepared) -> None:
    # Labels are indices into the names of classes: other names, or another order, would train other classes.
    if not config.conditional or config.classes == prepared.classes:
        return
    lost = [name for name in config.classes if name not in prepared.classes]
    new = [name for name in prepared.classes if name not in config.classes]
    changes = [f"no usable image of {', '.join(lost)}"] if lost else []
    changes += [f"new classes {', '.join(new)}"] if new else []
    raise TrainingFailed(
        f"{config.dataset} is not what it was when the run was started ({' and '.join(changes) or 'another order'}): "
        "put the images back, or start a new run"
    )
