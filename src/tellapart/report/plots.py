"""Figures of a trained network (epochs, what it takes for what, classes), and of several."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from pathlib import Path

from tellapart.records import Estimate, RunRecord, TestRecord
from tellapart.report import canvas, wording

NUMBERED = 24  # classes up to which every cell has its number
NAMED = 60  # classes up to which every row has its name
COUNTS, SHARES = "confusion_matrix", "confusion_matrix_normalized"
LISTED = 40  # classes up to which each has a row of its own


def draw_run(run: RunRecord, test: TestRecord | None, classes: Sequence[str], folder: Path) -> None:
    """Write a run's figures into its folder: its curves, and with a test its confusion matrices.

    Without one, as the many cells of a sweep or search are, the curves are a PNG alone.
    """
    curves = plot_curves(run)
    if test is None:
        canvas.save_figure(curves, folder / "results", ("png",))
        return
    canvas.save_figure(curves, folder / "results")
    for name, normalized in ((COUNTS, False), (SHARES, True)):
        figure = plot_confusion(classes, test.confusion, normalized)
        canvas.save_figure(figure, folder / name)


@canvas.calm_style()
def plot_curves(run: RunRecord) -> canvas.Figure:
    """Draw accuracy and loss by epoch, and the score where it is another; mark the best epoch."""
    figure = canvas.open_figure(9.0, 3.7)
    left, right = figure.subplots(1, 2)
    rows = run.history
    epochs, marker = [row.epoch for row in rows], "o" if len(rows) < 3 else ""
    for axes, name in ((left, "accuracy"), (right, "loss")):
        canvas.dress_axes(axes)
        train, chosen = ([getattr(row, of + name) for row in rows] for of in ("", "val_"))
        axes.plot(epochs, train, color=canvas.ORANGE, linewidth=1.5, marker=marker, label="train")
        axes.plot(epochs, chosen, color=canvas.BLUE, linewidth=2.2, marker=marker,
                  label=run.chosen_on)  # fmt: skip
        canvas.count_epochs(axes)
        axes.margins(x=0.03)
        axes.set_title(name.capitalize(), pad=20)
    if run.metric != "accuracy":
        score = f"{run.chosen_on}, {wording.say_metric(run.metric)}"
        left.plot(epochs, [row.val_score for row in rows], color=canvas.GREEN, label=score)
    canvas.show_percent(left, "y")
    for row in (row for row in rows if row.epoch == run.best_epoch):
        best = f"best epoch {row.epoch}"
        canvas.draw_dot(left, row.epoch, row.val_score)
        canvas.mark_place(left, row.epoch, f"{best}: {wording.say_percent(row.val_score)}")
        canvas.draw_dot(right, row.epoch, row.val_loss)
        canvas.mark_place(right, row.epoch, f"{best}: {row.val_loss:.3f}")
    figure.legend(*left.get_legend_handles_labels(), loc="outside lower center", ncols=3)
    return figure


@canvas.calm_style()
def plot_confusion(
    classes: Sequence[str], confusion: Sequence[Sequence[int]], normalized: bool
) -> canvas.Figure:
    """Draw ``confusion[true][predicted]``, counts of images, as shaded cells.

    ``normalized`` divides each row by its sum: the share of a class's images.
    """
    count = len(classes)
    names = wording.label_classes(classes, 22 if count <= 12 else 16)
    margin = 0.085 * max((len(name) for name in names), default=1) + 0.5
    side = min(max(0.44 * count, 2.2), 7.6)
    figure = canvas.open_figure(side + margin + 0.6, side + min(margin, 2.0) + 0.4)
    axes = figure.add_subplot()
    top = max((cell for row in confusion for cell in row), default=0)
    sums = [sum(row) if normalized else top for row in confusion]
    shares = [[n / max(of, 1) for n in row] for row, of in zip(confusion, sums, strict=True)]
    if count > NAMED:
        from matplotlib.colors import to_rgb

        axes.imshow([[(*to_rgb(canvas.HEAT), share) for share in row] for row in shares],
                    interpolation="nearest")  # fmt: skip
    else:
        _draw_cells(axes, confusion, shares, normalized)
    axes.set(xlim=(-0.5, count - 0.5), ylim=(count - 0.5, -0.5), aspect="equal")
    _name_sides(axes, names)
    what = "share of each true class, in %" if normalized else "number of test images"
    axes.set_title(f"Confusion: {what}", pad=12, fontsize=10.5, loc="left")
    return figure


def _draw_cells(
    axes: canvas.Axes, confusion: Sequence[Sequence[int]], shares: list[list[float]], percent: bool
) -> None:
    count = len(confusion)
    size = 9.5 if count <= 12 else 8.0 if count <= 16 else 6.5
    for y, row in enumerate(confusion):
        for x, cell in enumerate(row):
            color = canvas.shade_cell(axes, x, y, shares[y][x])
            if count <= NUMBERED:
                text = f"{100 * shares[y][x]:.0f}" if percent else f"{cell:,}"
                axes.text(x, y, text if cell else "·", ha="center", va="center",
                          color=color if cell else canvas.MUTED,
                          fontsize=size - (2.0 if len(text) > 4 else 0))  # fmt: skip


def _name_sides(axes: canvas.Axes, names: list[str]) -> None:
    count = len(names)
    canvas.dress_axes(axes, None)
    for spine in axes.spines.values():
        spine.set_visible(True)
    axes.set(xlabel="predicted class", ylabel="true class")
    if count > NAMED:
        axes.set(xticks=[], yticks=[])
        return
    size = 10.0 if count <= 12 else 8.0 if count <= 30 else 5.5
    axes.set_yticks(range(count), names, fontsize=size, color=canvas.INK)
    flat = max((len(name) for name in names), default=0) <= 4 and count <= 16
    turn, side = (0, "center") if flat else (45, "right")
    axes.set_xticks(range(count), names, fontsize=size, color=canvas.INK, rotation=turn, ha=side,
                    rotation_mode="anchor")  # fmt: skip


@canvas.calm_style()
def plot_class_scores(test: TestRecord) -> canvas.Figure:
    """Draw the recall of each class with its interval, best first; of many, the lowest ones."""
    rows = [row for row in test.per_class if row.support]
    rows = sorted(rows, key=lambda row: (row.recall.value, row.name))[:LISTED]
    figure = canvas.open_figure(9.0, 0.3 * max(len(rows), 2) + 1.3)
    axes = canvas.dress_axes(figure.add_subplot(), "x")
    names = [row.name for row in test.per_class]
    labels = dict(zip(names, wording.label_classes(names, 30), strict=True))
    for y, row in enumerate(rows):
        canvas.draw_span(axes, y, row.recall, 7.5)
    axes.set_ylim(-0.6, len(rows) - 0.4)
    axes.set_yticks(range(len(rows)), [labels[row.name] for row in rows], color=canvas.INK)
    axes.set_xlim(max(min(row.recall.low for row in rows) - 0.05, -0.01), 1.015)
    whole = test.scores["accuracy"].value
    canvas.mark_place(axes, whole, f"all classes: {wording.say_percent(whole)}", canvas.ORANGE)
    canvas.show_percent(axes, "x")
    hidden = len(test.per_class) - len(rows)
    few = f" (lowest {len(rows)} of {len(test.per_class)} classes)" if hidden else ""
    axes.set_xlabel(f"recall on test, with its 95 % interval{few}")
    return figure


@canvas.calm_style()
def plot_models(
    models: Mapping[str, Estimate], tied: Collection[str], metric: str
) -> canvas.Figure:
    """Draw the score of each model with its interval, best first; ``tied`` are not told apart."""
    names = sorted(models, key=lambda name: -models[name].value)[:LISTED]
    figure = canvas.open_figure(9.0, 0.32 * max(len(names), 2) + 1.5)
    axes = canvas.dress_axes(figure.add_subplot(), "x")
    for some, color, said in (
        (True, canvas.BLUE, "not told from the best"),
        (False, canvas.MUTED, "does worse than the best"),
    ):
        places = [place for place, name in enumerate(names) if (name in tied) == some]
        if places:
            shown = [models[names[place]] for place in places]
            canvas.draw_estimates(axes, places, shown, (color, "o"), said, across=True)
    axes.set_ylim(len(names) - 0.4, -0.6)
    axes.set_yticks(range(len(names)), wording.label_classes(names, 40), color=canvas.INK)
    canvas.show_percent(axes, "x")
    hidden = len(models) - len(names)
    few = f"; the best {len(names)} of {len(models)} models" if hidden else ""
    axes.set_xlabel(f"{wording.say_metric(metric)} with its 95 % interval{few}")
    figure.legend(*axes.get_legend_handles_labels(), loc="outside lower center", ncols=2)
    return figure
