"""Model cards, `card.md`: origin, scores and use of a version."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable
from typing import Final, NamedTuple

from models.config.training import TrainingConfig
from models.datasets.catalogue import BUILTIN
from models.scores import Score
from models.store.manifest import NEIGHBOURS, PREVIEW, Manifest

_SETTINGS: Final = ("loss", "batch_size", "latent", "penalty", "augment", "precision", "seed")
_MARKUP: Final = re.compile(r"[\\`*\[\]<>|!&~]|(?<![0-9A-Za-z])_|_(?![0-9A-Za-z])")  # inside a word _ is itself


class Pairs(NamedTuple):
    """Generated images beside their nearest training images, as PNG; `searched` of `images` were compared."""

    picture: bytes
    searched: int
    images: int


def render_card(manifest: Manifest, config: TrainingConfig, pairs: Pairs | None = None) -> bytes:
    """Return the card of a version that `config` has trained, as Markdown in UTF-8."""
    parts = [
        _head(manifest),
        _data(manifest, config),
        _training(manifest, config),
        _scores(manifest),
        _neighbours(pairs),
        _use(manifest),
    ]
    return ("\n\n".join(parts) + "\n").encode()


def _head(manifest: Manifest) -> str:
    generator = manifest.generator
    kind = "grey" if generator.channels == 1 else "colour"
    classes = f", of {generator.classes} classes on demand" if generator.classes else ""
    shape = generator.shape
    return (
        f"# {manifest.model}@{manifest.version}\n\n"
        f"A generative adversarial network for {kind} images of {shape.height} x {shape.width} px{classes}: "
        f"family `{generator.network.family}`, {generator.parameters():,} weights.\n\n"
        f"![samples]({PREVIEW})"
    )


def _data(manifest: Manifest, config: TrainingConfig) -> str:
    known = BUILTIN.get(config.dataset)
    name = _code(manifest.provenance.dataset)
    if known is not None:
        return (
            f"## Data\n\n{_plain(known.title)} ({name}), {known.count:,} images. "
            f"Licence: {_plain(known.licence)}. Source: <{known.source}>"
        )
    return (
        f"## Data\n\n{name}, images of whoever trained this model. Their licence, and the consent of people in them, "
        "are not known to this program: ask before you pass the model or its images on."
    )


def _training(manifest: Manifest, config: TrainingConfig) -> str:
    provenance = manifest.provenance
    values = config.model_dump(mode="json")
    rows = [
        ("preset", provenance.preset),
        ("images shown", f"{provenance.images:,}"),
        ("made", f"{manifest.created_at:%Y-%m-%d}"),
        *((name, _short(values[name])) for name in _SETTINGS),
        ("generator", f"lr {config.generator.lr:g}, betas {config.generator.betas}"),
        ("discriminator", f"lr {config.discriminator.lr:g}, betas {config.discriminator.betas}"),
        *provenance.software.items(),
    ]
    return "## Training\n\n" + _table(("setting", "value"), rows)


def _scores(manifest: Manifest) -> str:
    if not manifest.scores:
        return "## Scores\n\nThis version was not evaluated."
    rows = [
        (name, f"{score.value:.4g}", _optional(score.baseline), _better(score), score.protocol)
        for name, score in manifest.scores.items()
    ]
    return (
        "## Scores\n\nThe first one decided which version is `best`. Only scores with equal protocols can be compared; "
        "the baseline is what real images score against other real ones.\n\n"
        + _table(("score", "value", "baseline", "better", "protocol"), rows)
    )


def _neighbours(pairs: Pairs | None) -> str:
    if pairs is None:
        text = "They were not searched for: this version was published by hand, and only the worker has the data."
    else:
        where = f"all {pairs.images:,}" if pairs.searched == pairs.images else f"{pairs.searched:,} of {pairs.images:,}"
        text = (
            f"Each generated image, and to its right the training image most like it, by pixels, among {where}. Pairs "
            f"that are the same mean that the model has memorised its data.\n\n![pairs]({NEIGHBOURS})"
        )
    return f"## Nearest training images\n\n{text}"


def _use(manifest: Manifest) -> str:
    ref = f"{manifest.model}@{manifest.version}"
    label = "&class=LABEL" if manifest.generator.classes else ""
    return (
        "## Use\n\n```sh\n"
        f"curl -o samples.png 'http://127.0.0.1:8000/samples?model={ref}&n=25&seed=0{label}'\n"
        f"atelier sample --model {ref}\n```\n\n"
        "Its images are invented, but may resemble those that it was trained on. It knows nothing that these did not "
        "show, and repeats what they leave out or overdo."
    )


def _table(head: tuple[str, ...], rows: Iterable[tuple[str, ...]]) -> str:
    lines = [head, tuple("---" for _ in head), *(tuple(_plain(cell) for cell in row) for row in rows)]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def _plain(text: str) -> str:
    """Escape Markdown, for a sentence or a cell of a table."""
    # The text may come from anyone who named a data set.
    return _MARKUP.sub(lambda found: f"\\{found[0]}", _line(text))


def _code(text: str) -> str:
    """Format text as code."""
    # Between more backticks than the text has in a row.
    line = _line(text)
    fence = "`" * (1 + max(map(len, re.findall("`+", line)), default=0))
    return f"{fence} {line} {fence}" if "`" in line else f"{fence}{line}{fence}"


def _line(text: str) -> str:
    """Replace line ends, invisible characters, changes of direction and non-characters by spaces."""
    return "".join(" " if unicodedata.category(each)[0] == "C" or each.isspace() else each for each in text)


def _short(value: object) -> str:
    if isinstance(value, dict):
        return ", ".join(f"{name} {_short(each)}" for name, each in value.items())
    return "none" if value in (None, [], ()) else str(value)


def _optional(value: float | None) -> str:
    return "" if value is None else f"{value:.4g}"


def _better(score: Score) -> str:
    return "lower" if score.lower_is_better else "higher"
