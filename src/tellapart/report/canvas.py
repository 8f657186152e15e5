"""The paper that figures are drawn on: colours, type, axes, and how a figure becomes a file."""

from __future__ import annotations

import io
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from tellapart.stop import check_stop
from tellapart.words import list_fonts
from tellapart.workspace import write_bytes

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

INK, MUTED, GRID, PAPER = "#1f2933", "#5f6b7a", "#e3e7ec", "#ffffff"
# Okabe and Ito's palette (2008), which readers with any colour vision can tell apart.
BLUE, ORANGE, GREEN, VERMILION = "#0072b2", "#e69f00", "#009e73", "#d55e00"
PURPLE, SKY = "#cc79a7", "#56b4e9"
SERIES = (BLUE, VERMILION, GREEN, PURPLE, ORANGE, SKY)
MARKERS = ("o", "s", "D", "^", "v", "P", "X")
HEAT = "#06407f"
DOTS = 150  # an inch
# Steps of the viridis map, of which light paper needs the dark part and dark paper the light part.
ORDER = (
    "#440154", "#472c7a", "#3e4c8a", "#31688e", "#26828e", "#1f9e89", "#35b779", "#5cc863",
)  # fmt: skip
ORDER_DARK = (
    "#5b74c4", "#4187b0", "#2f9a9e", "#27ad81", "#42be71", "#75d054", "#b0dd2f", "#f1e51d",
)  # fmt: skip
DARK = {
    INK: "#e7ebf0",
    MUTED: "#9aa7b5",
    GRID: "#2f3842",
    PAPER: "#171c22",
    BLUE: "#4aa8e8",
    VERMILION: "#f0803c",
    GREEN: "#2bbf97",
    HEAT: "#2f7fd1",
    **dict(zip(ORDER, ORDER_DARK, strict=True)),
}


@contextmanager
def calm_style() -> Iterator[None]:
    """Draw with tellapart's own settings, whatever the user's matplotlibrc says, then restore."""
    import matplotlib

    with matplotlib.rc_context():
        matplotlib.rcdefaults()
        matplotlib.rcParams.update(
            {
                "font.family": list(list_fonts()),
                "font.size": 10.0,
                "text.color": INK,
                "axes.labelcolor": MUTED,
                "axes.titlelocation": "left",
                "axes.titlesize": 11.0,
                "axes.titleweight": "bold",
                "axes.titlecolor": INK,
                "legend.frameon": False,
                "svg.hashsalt": "tellapart",
                "svg.fonttype": "path",
            }
        )
        yield


def open_figure(width: float, height: float) -> Figure:
    """Return an empty figure (inches) with an Agg canvas and no tie to pyplot."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(width, height), layout="constrained", facecolor=PAPER, dpi=DOTS)
    figure.get_layout_engine().set(w_pad=0.12, h_pad=0.1)  # type: ignore[union-attr,call-arg]  # constrained, just made
    FigureCanvasAgg(figure)
    return figure


def dress_axes(axes: Axes, grid: Literal["x", "y", "both"] = "y") -> Axes:
    """Give axes the house look: no box, quiet ticks, a faint grid behind the data."""
    axes.set_facecolor("none")
    for side, spine in axes.spines.items():
        spine.set_visible(side == "bottom" and grid != "x")
        spine.set_color(GRID)
    axes.tick_params(colors=MUTED, length=0, pad=5)
    axes.set_axisbelow(True)
    axes.grid(axis=grid, color=GRID, linewidth=0.8)
    return axes


def show_percent(axes: Axes, which: Literal["x", "y"]) -> None:
    """Label an axis of fractions in per cent."""
    from matplotlib.ticker import FuncFormatter, MaxNLocator

    axis = axes.xaxis if which == "x" else axes.yaxis
    axis.set_major_locator(MaxNLocator(nbins=6, steps=[1, 2, 2.5, 5, 10]))
    axis.set_major_formatter(FuncFormatter(lambda value, _: f"{100 * value:.6g} %"))


def say_nothing(axes: Axes, reason: str) -> None:
    """Write why axes are empty, in their middle."""
    axes.set_axis_off()
    axes.text(0.5, 0.5, reason, ha="center", va="center", color=MUTED, transform=axes.transAxes)


def pick_order(count: int) -> list[str]:
    """Return ``count`` colours of a sequence, dark to light, as far apart as may be."""
    if count <= len(ORDER):
        last = max(count - 1, 1)
        return [ORDER[round(i * (len(ORDER) - 1) / last)] for i in range(count)]
    from matplotlib import colormaps
    from matplotlib.colors import to_hex

    return [to_hex(colormaps["viridis"](0.78 * i / (count - 1))) for i in range(count)]


def pad_range(values: Sequence[float], floor: float, ceiling: float) -> tuple[float, float]:
    """Return axis limits around values with 8 % of air, kept near ``[floor, ceiling]``."""
    low, high = min(values), max(values)
    air = 0.08 * (high - low) or 0.05
    return max(floor - 0.02, low - air), min(ceiling + 0.02, high + air)


def render_png(figure: Figure) -> bytes:
    """Return a figure as PNG on white, 150 dots an inch."""
    return _render(figure, "png", PAPER)


def render_svg(figure: Figure, adaptive: bool = False) -> bytes:
    """Return a figure as SVG, the same bytes each time.

    Args:
        adaptive: transparent, and with the dark palette where the reader prefers dark.
    """
    content = _render(figure, "svg", "none" if adaptive else PAPER)
    if not adaptive:
        return content
    rules = "".join(
        f'[style*="{kind}: {light}"]{{{kind}:{dark} !important}}'
        for light, dark in DARK.items()
        for kind in ("fill", "stroke")
    )
    style = f"<style>@media (prefers-color-scheme: dark){{{rules}}}</style>\n</svg>"
    head, _, tail = content.decode().rpartition("</svg>")
    return (head + style + tail).encode()


def save_figure(figure: Figure, path_without_suffix: Path) -> tuple[Path, Path]:
    """Write a figure as ``.png`` and ``.svg``, and return both paths.

    Raises:
        Interrupted: a stop was asked for.
        WorkspaceError: the folder cannot be written.
    """
    check_stop()
    stem = path_without_suffix
    return save_png(figure, stem), write_bytes(
        stem.with_name(f"{stem.name}.svg"), render_svg(figure)
    )


def save_png(figure: Figure, path_without_suffix: Path) -> Path:
    """Write a figure as ``.png`` alone, and return the path.

    Raises:
        WorkspaceError: the folder cannot be written.
    """
    stem = path_without_suffix
    return write_bytes(stem.with_name(f"{stem.name}.png"), render_png(figure))


def _render(figure: Figure, kind: Literal["png", "svg"], paper: str) -> bytes:
    from matplotlib.layout_engine import ConstrainedLayoutEngine

    metadata = {"Date": None, "Creator": None} if kind == "svg" else {"Software": None}
    buffer = io.BytesIO()
    with calm_style():
        # the same for each format, so done once; what stays is a place holder
        if isinstance(figure.get_layout_engine(), ConstrainedLayoutEngine):
            figure.draw_without_rendering()
            figure.set_layout_engine("none")
        figure.savefig(buffer, format=kind, dpi=DOTS, facecolor=paper, metadata=metadata)
    return buffer.getvalue()
