"""Confusion matrices: which class is taken for which."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from tellapart.report.canvas import GRID, HEAT, INK, MUTED, calm_style, open_figure
from tellapart.report.wording import label_classes

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

NUMBERED = 24  # classes up to which every cell has its number
NAMED = 60  # classes up to which every row has its name
SWITCH = 0.62  # shade from which white reads better than ink, on white paper
WHITE = "#fffffe"  # not the paper's white, which turns dark in a dark page


@calm_style()
def plot_confusion(
    classes: Sequence[str], confusion: Sequence[Sequence[int]], normalized: bool
) -> Figure:
    """Draw ``confusion[true][predicted]`` as shaded cells.

    Args:
        classes: names in the order of the rows.
        confusion: counts of images.
        normalized: divide each row by its sum: the share of a class's images.
    """
    count = len(classes)
    limit = 22 if count <= 12 else 16
    names = label_classes(classes, limit)
    margin = 0.085 * max((len(name) for name in names), default=1) + 0.5
    side = min(max(0.44 * count, 2.2), 7.6)
    figure = open_figure(side + margin + 0.6, side + min(margin, 2.0) + 0.4)
    axes = figure.add_subplot()
    shares = _scale_rows(confusion) if normalized else _scale_all(confusion)
    _draw_cells(axes, shares)
    if count <= NUMBERED:
        size = 9.5 if count <= 12 else 8.0 if count <= 16 else 6.5
        _write_numbers(axes, confusion, shares, normalized, size)
    axes.set_xlim(-0.5, count - 0.5)
    axes.set_ylim(count - 0.5, -0.5)
    axes.set_aspect("equal")
    _name_sides(axes, names)
    what = "share of each true class, in %" if normalized else "number of test images"
    axes.set_title(f"Confusion: {what}", pad=12, fontsize=10.5, loc="left")
    return figure


def _scale_rows(confusion: Sequence[Sequence[int]]) -> list[list[float]]:
    sums = [max(sum(row), 1) for row in confusion]
    return [[cell / of for cell in row] for row, of in zip(confusion, sums, strict=True)]


def _scale_all(confusion: Sequence[Sequence[int]]) -> list[list[float]]:
    top = max((cell for row in confusion for cell in row), default=0)
    return [[cell / max(top, 1) for cell in row] for row in confusion]


def _draw_cells(axes: Axes, shares: list[list[float]]) -> None:
    """Shade with one colour of varying opacity, which suits light and dark paper alike."""
    from matplotlib.colors import to_rgb
    from matplotlib.patches import Rectangle

    if len(shares) > NAMED:
        red, green, blue = to_rgb(HEAT)
        axes.imshow([[(red, green, blue, share) for share in row] for row in shares],
                    interpolation="nearest")  # fmt: skip
        return
    for y, row in enumerate(shares):
        for x, share in enumerate(row):
            if share > 0:
                axes.add_patch(
                    Rectangle((x - 0.5, y - 0.5), 1, 1, facecolor=(HEAT, share), linewidth=0)
                )


def _write_numbers(
    axes: Axes,
    confusion: Sequence[Sequence[int]],
    shares: list[list[float]],
    normalized: bool,
    size: float,
) -> None:
    for y, row in enumerate(confusion):
        for x, cell in enumerate(row):
            share = shares[y][x]
            text = f"{100 * share:.0f}" if normalized else f"{cell:,}"
            quiet = cell == 0
            color = MUTED if quiet else WHITE if share > SWITCH else INK
            axes.text(x, y, "·" if quiet else text, ha="center", va="center", color=color,
                      fontsize=size - (2.0 if len(text) > 4 else 0))  # fmt: skip


def _name_sides(axes: Axes, names: list[str]) -> None:
    count = len(names)
    axes.set_facecolor("none")
    for spine in axes.spines.values():
        spine.set_color(GRID)
    axes.tick_params(colors=MUTED, length=0, pad=4)
    axes.set_ylabel("true class")
    axes.set_xlabel("predicted class")
    if count > NAMED:
        axes.set_xticks([])
        axes.set_yticks([])
        return
    size = 10.0 if count <= 12 else 8.0 if count <= 30 else 5.5
    ticks = list(range(count))
    axes.set_yticks(ticks, names, fontsize=size, color=INK)
    flat = max((len(name) for name in names), default=0) <= 4 and count <= 16
    axes.set_xticks(ticks, names, fontsize=size, color=INK, rotation=0 if flat else 45,
                    ha="center" if flat else "right", rotation_mode="anchor")  # fmt: skip
