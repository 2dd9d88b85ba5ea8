"""Charts of a run's losses and discriminator outputs."""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence
from math import isfinite, log
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from matplotlib.axes import Axes

Ticks = Sequence[Mapping[str, Any]]

_INK, _FAINT = "#22272e", "#8a929c"
# Okabe and Ito's colours, distinct with colour blindness too; the two parts of the discriminator's loss in thin lines.
_LOSSES = (
    ("loss_d", "discriminator", "#0072b2", 1.8),
    ("loss_d_real", "discriminator, on real images", "#56b4e9", 1.0),
    ("loss_d_fake", "discriminator, on generated images", "#009e73", 1.0),
    ("loss_g", "generator", "#d55e00", 1.8),
)
_OUTPUTS = (
    ("d_real", "D(x), on real images", "#56b4e9", 1.4),
    ("d_fake", "D(G(z)), on generated images", "#d55e00", 1.4),
)


def loss_chart(ticks: Ticks, title: str) -> bytes:
    """Draw the four losses over kimg, and below them D(x) and D(G(z)), as a PNG of 1200 x 900 px.

    Losses with probabilities (`d_real` is not null) are cross-entropies. Dotted lines then show their values at
    equilibrium, D = 1/2 (Goodfellow et al. 2014, arXiv 1406.2661): ln 2 for each part and for the generator (-ln 2 for
    one that minimises log(1 - D(G(z))), whose loss is never positive), and 2 ln 2 for the sum of both parts.

    Args:
        ticks: as in a run's `ticks.jsonl`; a value that is null or NaN leaves a gap.
        title: shown above the plot, as plain text.
    """
    # Imported here because it takes longer than everything else in `models`; no pyplot, so that threads can draw.
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure
    from matplotlib.layout_engine import ConstrainedLayoutEngine

    layout = ConstrainedLayoutEngine(w_pad=0.12, h_pad=0.12)
    figure = Figure(figsize=(10, 7.5), dpi=120, layout=layout, facecolor="white")
    has_outputs = _values(ticks, "d_real").size > 0
    rows = figure.subplots(
        2 if has_outputs else 1, 1, sharex=True, squeeze=False, height_ratios=[2, 1][: 1 + has_outputs]
    )
    losses: Axes = rows[0, 0]
    losses.set_title(title, loc="left", fontsize=13, fontweight="bold", color=_INK, pad=34, parse_math=False)
    _curves(losses, ticks, _LOSSES, "loss")
    if has_outputs:
        _references(losses, ticks)
        _curves(rows[1, 0], ticks, _OUTPUTS, "probability")
        rows[1, 0].set_ylim(-0.03, 1.03)
        _reference(rows[1, 0], 0.5, "1/2")
    rows[-1, 0].set_xlabel("real images shown (kimg, thousands)", color=_INK)
    figure.align_ylabels()
    buffer = io.BytesIO()
    FigureCanvasAgg(figure)
    figure.savefig(buffer, format="png")
    return buffer.getvalue()


def _curves(axes: Axes, ticks: Ticks, curves: Sequence[tuple[str, str, str, float]], quantity: str) -> None:
    kimg = _column(ticks, "kimg")
    # Not every loss has two parts: a field that no tick has gets no curve and no legend entry.
    curves = [curve for curve in curves if _values(ticks, curve[0]).size] or curves
    for name, label, colour, width in curves:
        values = _column(ticks, name)
        # A line needs two points: a single one, at the start of a run or between gaps, is drawn as a dot.
        marker = "o" if np.isfinite(values).sum() < 3 else ""
        axes.plot(kimg, values, color=colour, linewidth=width, label=label, marker=marker, markersize=4, zorder=3)
    axes.set_ylabel(quantity, color=_INK)
    axes.spines[["top", "right"]].set_visible(False)
    axes.spines[["left", "bottom"]].set_color(_FAINT)
    axes.grid(color="#e6e9ec", linewidth=0.8)
    axes.tick_params(colors=_INK, length=0)
    axes.legend(loc="lower left", bbox_to_anchor=(0, 1), ncols=len(curves), frameon=False, fontsize=9, borderaxespad=0)
    axes.set_xlim(left=0)
    if not any(_values(ticks, name).size for name, *_ in curves):
        axes.set(xticks=[], yticks=[])
        axes.text(0.5, 0.5, "nothing reported yet", transform=axes.transAxes, ha="center", va="center", color=_FAINT)


def _references(axes: Axes, ticks: Ticks) -> None:
    generator = _values(ticks, "loss_g")
    _reference(axes, 2 * log(2), "2 ln 2")
    _reference(axes, log(2), "ln 2")
    if generator.size and generator.max() <= 0:
        _reference(axes, -log(2), "-ln 2")


def _reference(axes: Axes, value: float, label: str) -> None:
    axes.axhline(value, color=_FAINT, linewidth=1.0, linestyle=(0, (1, 2)), zorder=2)
    axes.annotate(
        label,
        (1, value),
        xycoords=("axes fraction", "data"),
        xytext=(4, 0),
        textcoords="offset points",
        va="center",
        fontsize=9,
        color=_FAINT,
        annotation_clip=False,
    )


def _column(ticks: Ticks, name: str) -> NDArray[np.float64]:
    """Return one field of every tick, float64, NaN if it is null, absent or not finite."""
    values = (tick.get(name) for tick in ticks)
    return np.array([value if value is not None and isfinite(value) else np.nan for value in values], np.float64)


def _values(ticks: Ticks, name: str) -> NDArray[np.float64]:
    column = _column(ticks, name)
    return column[np.isfinite(column)]
