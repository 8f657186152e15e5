"""The paper that figures are drawn on: colours, type, axes, and how a figure becomes a file."""

from __future__ import annotations

import base64
import io
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from tellapart.records import CurveRecord, Estimate
from tellapart.stop import check_stop
from tellapart.words import list_fonts
from tellapart.workspace import write_bytes

if TYPE_CHECKING:
    from matplotlib.axes import Axes as Axes
    from matplotlib.figure import Figure as Figure

INK, MUTED, GRID, PAPER = "#1f2933", "#5f6b7a", "#e3e7ec", "#ffffff"
# Okabe and Ito's palette (2008), which readers with any colour vision can tell apart.
BLUE, ORANGE, GREEN, VERMILION = "#0072b2", "#e69f00", "#009e73", "#d55e00"
PURPLE, SKY = "#cc79a7", "#56b4e9"
SERIES = (BLUE, VERMILION, GREEN, PURPLE, ORANGE, SKY)
MARKERS = ("o", "s", "D", "^", "v", "P", "X")
HEAT = "#06407f"
WHITE = "#fffffe"  # of text on dark cells; not the paper's white, which turns dark in a dark page
DASHED = (0, (4, 3))
SWITCH = 0.62  # shade from which white reads better than ink
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
    from matplotlib.figure import Figure as Figure

    figure = Figure(figsize=(width, height), layout="constrained", facecolor=PAPER, dpi=DOTS)
    figure.get_layout_engine().set(w_pad=0.12, h_pad=0.1)  # type: ignore[union-attr,call-arg]  # constrained, just made
    FigureCanvasAgg(figure)
    return figure


def dress_axes(axes: Axes, grid: Literal["x", "y", "both"] | None = "y") -> Axes:
    """Give axes the house look: no box, quiet ticks, a faint grid behind the data, or none."""
    axes.set_facecolor("none")
    for side, spine in axes.spines.items():
        spine.set_visible(side == "bottom" and grid in ("y", "both"))
        spine.set_color(GRID)
    axes.tick_params(colors=MUTED, length=0, pad=5 if grid else 4)
    if grid:
        axes.set_axisbelow(True)
        axes.grid(axis=grid, color=GRID, linewidth=0.8)
    return axes


def show_percent(axes: Axes, which: Literal["x", "y"]) -> None:
    """Label an axis of fractions in per cent."""
    axes.locator_params(axis=which, nbins=6)
    axis = axes.xaxis if which == "x" else axes.yaxis
    axis.set_major_formatter(lambda value, _: f"{100 * value:.6g} %")


def say_amount(value: float) -> str:
    """Say a number on an axis in few letters.

    >>> say_amount(50_000), say_amount(2e6), say_amount(0.3), say_amount(40)
    ('50 k', '2 M', '0.3', '40')
    """
    if value >= 1e6:
        return f"{value / 1e6:.3g} M"
    return f"{value / 1e3:.3g} k" if value >= 1e3 else f"{value:.3g}"


def pick_order(count: int) -> list[str]:
    """Return ``count`` colours of a sequence, dark to light, as far apart as may be."""
    from matplotlib import colormaps
    from matplotlib.colors import to_hex

    places = [i / max(count - 1, 1) for i in range(count)]
    if count <= len(ORDER):
        return [ORDER[round(place * (len(ORDER) - 1))] for place in places]
    return [to_hex(colormaps["viridis"](0.78 * place)) for place in places]


def draw_estimates(
    axes: Axes,
    places: Sequence[float],
    estimates: Sequence[Estimate],
    look: tuple[str, str] = (BLUE, "o"),
    label: str = "mean, 95 % interval",
    across: bool = False,
) -> None:
    """Draw values with their intervals at places on the x axis, or (``across``) on the y axis."""
    values, (color, marker) = [estimate.value for estimate in estimates], look
    reach = [[max(estimate.value - estimate.low, 0.0) for estimate in estimates],
             [max(estimate.high - estimate.value, 0.0) for estimate in estimates]]  # fmt: skip
    x, y, xerr, yerr = (values, places, reach, None) if across else (places, values, None, reach)
    axes.errorbar(x, y, yerr, xerr, color=color, marker=marker, markersize=7.5, capsize=4,
                  elinewidth=1.4, linewidth=0, zorder=3, label=label)  # fmt: skip


def draw_seeds(axes: Axes, x: Sequence[float], y: Sequence[float]) -> None:
    """Draw an open dot for each seed; only the first call of a figure names them."""
    named = "one seed" in axes.get_legend_handles_labels()[1]
    axes.plot(x, y, "o", color="none", markersize=5.5, markeredgecolor=INK, markeredgewidth=1.1,
              linewidth=0, zorder=4, label=None if named else "one seed")  # fmt: skip


def draw_dot(
    axes: Axes, x: float, y: float, color: str = BLUE, size: float = 8.0, label: str = ""
) -> None:
    """Draw a dot with a rim of paper, on top of all."""
    axes.plot([x], [y], "o", color=color, markersize=size, markeredgecolor=PAPER, zorder=6,
              markeredgewidth=1.4, linewidth=0, label=label or None)  # fmt: skip


def draw_span(axes: Axes, y: float, estimate: Estimate, size: float, hollow: bool = False) -> None:
    """Draw an interval along the x axis, with a dot at the value."""
    axes.plot([estimate.low, estimate.high], [y, y], color=BLUE, linewidth=size / 2.8, alpha=0.4,
              solid_capstyle="round")  # fmt: skip
    axes.plot([estimate.value], [y], "o", color=PAPER if hollow else BLUE, markersize=size,
              markeredgecolor=BLUE if hollow else PAPER, markeredgewidth=size / 6)  # fmt: skip


def mark_place(axes: Axes, x: float, said: str, color: str = MUTED) -> None:
    """Draw a dashed line at a place of the x axis, and words above it that stay within."""
    axes.axvline(x, color=color, linewidth=1.2, linestyle=DASHED, zorder=1)
    axes.get_xlim()  # brings the scale up to date
    share = axes.transAxes.inverted().transform(axes.transData.transform((x, 0.0)))[0]
    side = "left" if share < 0.25 else "right" if share > 0.75 else "center"
    axes.annotate(said, (x, 1.0), (0, 4), ha=side, va="bottom", fontsize=9.5, color=INK,
                  xycoords=axes.get_xaxis_transform(), textcoords="offset points")  # fmt: skip


def trace_curve(curve: CurveRecord, first: float, last: float) -> tuple[list[float], list[float]]:
    """Return sizes from first to last, evenly spaced on a log axis, and the curve's scores."""
    sizes = [first * (last / first) ** (step / 100) for step in range(101)]
    return sizes, [predict(curve, size) for size in sizes]


def predict(curve: CurveRecord, size: float) -> float:
    """Return the score that a curve gives to so many images, or to such a network."""
    return float(1 - curve.floor - curve.scale * (size / curve.largest) ** -curve.power)


def scale_sizes(axes: Axes, sizes: Sequence[int], air: float = 1.6) -> None:
    """Give the x axis a log scale with these sizes as its only labels."""
    axes.set_xscale("log", base=2)
    axes.set_xlim(sizes[0] / air, sizes[-1] * air)
    axes.set_xticks(sizes, [f"{size:,}" for size in sizes])
    axes.minorticks_off()


def count_epochs(axes: Axes, name: str = "epoch") -> None:
    """Give the x axis whole numbers, of epochs or trials."""
    axes.set_xlabel(name)
    steps = [1, 2, 3, 4, 5, 6, 8, 10]
    axes.locator_params(axis="x", nbins=8, integer=True, min_n_ticks=1, steps=steps)


def shade_cell(axes: Axes, x: int, y: int, share: float) -> str:
    """Shade a cell by opacity, which suits light and dark paper; return its text's best colour."""
    from matplotlib.patches import Rectangle

    if share > 0:
        axes.add_patch(Rectangle((x - 0.5, y - 0.5), 1, 1, facecolor=(HEAT, share), linewidth=0))
    return WHITE if share > SWITCH else INK


def render_png(figure: Figure) -> bytes:
    """Return a figure as PNG."""
    return _render(figure, "png")


def render_svg(figure: Figure) -> bytes:
    """Return a figure as SVG, on white paper, or on dark where the reader prefers that."""
    rules = "".join(
        f'[style*="{kind}: {light}"]{{{kind}:{dark} !important}}'
        for light, dark in DARK.items()
        for kind in ("fill", "stroke")
    )
    style = f"<style>@media (prefers-color-scheme: dark){{{rules}}}</style>\n</svg>"
    head, _, tail = _render(figure, "svg").decode().rpartition("</svg>")
    return (head + style + tail).encode()


def embed_figure(draw: Callable[[], Figure], folder: Path | None = None, name: str = "") -> str:
    """Return a figure as the address of a picture that the page carries, dark or light.

    Where it was saved as ``name`` below ``folder`` it is not drawn again.
    """
    content = b""
    if folder is not None:
        saved = name_file(folder / name, "svg").resolve()
        if saved.is_relative_to(folder.resolve()) and saved.is_file():  # a stranger's may lead out
            content = saved.read_bytes()
    if b"prefers-color-scheme: dark" not in content:
        content = render_svg(draw())
    return f"data:image/svg+xml;base64,{base64.b64encode(content).decode()}"


def name_file(path_without_suffix: Path, kind: str) -> Path:
    """Return where a figure is saved; its name may have a dot."""
    return path_without_suffix.with_name(f"{path_without_suffix.name}.{kind}")


def save_figure(
    figure: Figure, path_without_suffix: Path, kinds: tuple[str, ...] = ("png", "svg")
) -> None:
    """Write a figure as ``.png`` and ``.svg``, or be Interrupted where a stop was asked for."""
    check_stop()
    for kind in kinds:
        content = render_png(figure) if kind == "png" else render_svg(figure)
        write_bytes(name_file(path_without_suffix, kind), content)


def _render(figure: Figure, kind: Literal["png", "svg"]) -> bytes:
    from matplotlib.layout_engine import ConstrainedLayoutEngine

    # neither the time nor versions: the same bytes each time
    metadata = {"Date": None, "Creator": None} if kind == "svg" else {"Software": None}
    buffer = io.BytesIO()
    with calm_style():
        # the same for each format, so done once; what stays is a place holder
        if isinstance(figure.get_layout_engine(), ConstrainedLayoutEngine):
            figure.draw_without_rendering()
            figure.set_layout_engine("none")
        figure.savefig(buffer, format=kind, dpi=DOTS, facecolor=PAPER, metadata=metadata)
    return buffer.getvalue()
