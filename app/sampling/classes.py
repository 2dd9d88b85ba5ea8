"""Which class a request means, a label or a class's name of a conditional model; and which classes images are of."""

from __future__ import annotations

from collections.abc import Sequence

from app.engine.inputs import Labels
from app.http.problems import Problem, invalid, wrong_parameter
from models.store.manifest import Manifest
from models.store.versions import WholeVersion

_LISTED = 50


def label_of(version: WholeVersion, wanted: str | None) -> int | None:
    """Find the label of a class; None where none is asked for.

    A name that is also another class's number means the class of that name.

    Raises:
        Problem: 422, the version is not conditional, or has no such class.
    """
    if wanted is None:
        return None
    names = version.manifest.classes if version.manifest.generator.classes else ()
    if not names:
        raise _refused(f"{version.ref} is not conditional: it has no classes to ask for")
    if wanted in names:
        return names.index(wanted)
    if wanted.isascii() and wanted.isdecimal() and len(wanted) <= len(str(len(names))) and int(wanted) < len(names):
        return int(wanted)
    listed = ", ".join(
        f"{label} ({name})" if name != str(label) else name for label, name in enumerate(names[:_LISTED])
    )
    more = f" and {len(names) - _LISTED:,} more" if len(names) > _LISTED else ""
    raise _refused(f'{version.ref} has no class "{wanted[:100]}": there are {listed}{more}')


def tell_classes(images: Sequence[dict[str, object]], labels: Labels | None, manifest: Manifest) -> None:
    """Add to what is told of each image the name of its class; without labels there is none."""
    for image, label in zip(images, () if labels is None else labels, strict=False):
        image["class"] = manifest.classes[label]


def _refused(message: str) -> Problem:
    return invalid([wrong_parameter("class", message)])
