"""The images that a run trains on, as they are now."""

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


def opened(
    config: TrainingConfig,
    records: Records,
    house: SharedSettings,
    log: Callable[[str], None],
    on_progress: Callable[[int, int], None],
) -> Prepared:
    """Open a run's data set, prepared if it is not yet; `on_progress` hears of that, `log` of images left out.

    Raises:
        DatasetProblem: there is none, or none that can be used.
        TrainingFailed: its classes are not those that the run was started with.
    """
    shape = config.dataset, config.size, config.channels
    if is_uploaded(config.dataset):
        found = open_upload(*shape, records=records, uploads_dir=house.uploads_dir)
    else:
        found = prepare(
            *shape,
            datasets_dir=house.datasets_dir,
            images_dir=house.images_dir,
            prepared_dir=house.prepared_dir,
            on_progress=on_progress,
        )
        for skipped in found.skipped:
            log(f"{config.dataset}: {skipped}")
    _check_classes(config, found)
    return found


def _check_classes(config: TrainingConfig, prepared: Prepared) -> None:
    """Refuse a conditional training on other classes than those that it was asked for.

    Raises:
        TrainingFailed: the folders have changed since, or one of them holds no usable image.
    """
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
