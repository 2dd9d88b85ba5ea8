"""The client side of `atelier datasets add`: packs a folder while uploading, waits, formats the report."""

from __future__ import annotations

import io
import re
import tarfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from models.datasets.catalogue import image_files

if TYPE_CHECKING:
    from app.cli.client import Client

POLL_SECONDS = 0.3
MAX_MESSAGES = 20
_CHUNK_BYTES = 1 << 20
_ENDINGS = (".zip", ".tar", ".tar.gz", ".tgz")


def name_of(path: Path) -> str:
    """Return a data set name for a path: `My Cats.tar.gz` gives `my-cats`."""
    name = path.resolve().name.lower()
    for ending in _ENDINGS:
        name = name.removesuffix(ending)
    return re.sub(r"[^a-z0-9._-]+", "-", name).strip("._-")[:64] or "images"


def size_of(path: Path) -> int:
    """Return the bytes that will be read."""
    return sum(file.stat().st_size for file in (image_files(path) if path.is_dir() else (path,)))


def chunks_of(path: Path, sent: Callable[[int], Any]) -> Iterator[bytes]:
    """Yield an archive, or a folder's images as a tar, in chunks; `sent` is called with the bytes read.

    Raises:
        OSError: a file cannot be read.
    """
    return _packed(path, sent) if path.is_dir() else _read(path, sent)


def _read(path: Path, sent: Callable[[int], Any]) -> Iterator[bytes]:
    with path.open("rb") as file:
        while chunk := file.read(_CHUNK_BYTES):
            yield chunk
            sent(len(chunk))


def _packed(folder: Path, sent: Callable[[int], Any]) -> Iterator[bytes]:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w|", format=tarfile.PAX_FORMAT) as archive:
        for path in image_files(folder):
            # Owners and times of the files are private: they are not sent.
            info = tarfile.TarInfo(str(path.relative_to(folder)))
            info.size = path.stat().st_size
            with path.open("rb") as file:
                archive.addfile(info, file)
            yield _take(buffer)
            sent(info.size)
    yield _take(buffer)


def _take(buffer: io.BytesIO) -> bytes:
    data = buffer.getvalue()
    buffer.seek(0)
    buffer.truncate()
    return data


def wait_until_prepared(client: Client, name: str) -> dict[str, Any]:
    """Poll until a data set is ready or failed; return its view."""
    from rich.progress import Progress

    with Progress(transient=True) as bar:
        task = bar.add_task(f"preparing {name}", total=1.0)
        while (view := client.get(f"/datasets/{name}"))["state"] == "preparing":
            bar.update(task, completed=view["progress"]["fraction"])
            time.sleep(POLL_SECONDS)
    return view


def report(view: dict[str, Any]) -> str:
    """Return a summary of a data set: contents, findings, and a proposed training."""
    classes = f", {len(view['classes'])} classes" if view["classes"] else ""
    kind = "grey" if view["channels"] == 1 else "colour"
    lines = [f"{view['name']}: {view['count']:,} images{classes}, {kind}, {view['size']} px, crop {view['crop']}"]
    if counts := view["finding_counts"]:
        summary = ", ".join(f"{count:,} {kind.replace('_', ' ')}" for kind, count in counts.items())
        lines.append(f"found: {summary}; see GET /datasets/{view['name']}/findings")
    skipped = [finding["message"] for finding in view["findings"] if not finding["used"]]
    lines += [f"  {message}" for message in skipped[:MAX_MESSAGES]]
    if (more := view["left_out"] - len(skipped[:MAX_MESSAGES])) > 0:
        lines.append(f"  and {more:,} more files were skipped")
    if train := view["proposal"]["train"]:
        changes = "".join(f" --set {name}={value}" for name, value in train.get("overrides", {}).items())
        model = f" --model {train['model']}" if "model" in train else ""
        lines.append(f"train on it: atelier train --preset {train['preset']} --dataset {view['name']}{model}{changes}")
    return "\n".join(lines)
