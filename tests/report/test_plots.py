"""Figures: the right marks at the right places, nothing overlapping, the same bytes each time."""

from __future__ import annotations

import xml.etree.ElementTree as ET
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Rectangle

from tellapart.records import (
    COSTS,
    BaselineStep,
    CurveRecord,
    InspectStep,
    Knee,
    SearchStep,
    StudyRecord,
    SweepStep,
    TransferStep,
)
from tellapart.report.canvas import pick_order, render_png, render_svg
from tellapart.report.plots import (
    draw_run,
    draw_step,
    plot_backbones,
    plot_class_scores,
    plot_confusion,
    plot_costs,
    plot_counts,
    plot_curves,
    plot_steps,
    plot_sweep_curves,
    plot_sweep_sizes,
    plot_trials,
    save_figure,
)
from tests.report import studies


def list_texts(axes: Axes) -> list[str]:
    return [text.get_text() for text in axes.texts]


def list_values(line: Line2D, which: str) -> list[Any]:
    data: Any = line.get_xdata() if which == "x" else line.get_ydata()
    return list(data)


def overlap(figure: Figure, axes: Axes, which: str) -> bool:
    """Say whether neighbouring tick labels of an axis touch."""
    figure.draw_without_rendering()
    labels = axes.get_yticklabels() if which == "y" else axes.get_xticklabels()
    boxes = [label.get_window_extent() for label in labels if label.get_text()]
    spans = sorted((b.y0, b.y1) if which == "y" else (b.x0, b.x1) for b in boxes)
    return any(first[1] > second[0] + 1 for first, second in pairwise(spans))


def test_curves_mark_the_best_epoch() -> None:
    run = studies.make_run(0.65, {})
    figure = plot_curves(run, "a title with $dollars$")
    left, right = figure.axes
    best = next(row for row in run.history if row.epoch == run.best_epoch)
    assert f"best epoch {run.best_epoch}: {100 * best.val_accuracy:.1f} %" in list_texts(left)
    assert f"best epoch {run.best_epoch}: {best.val_loss:.3f}" in list_texts(right)
    assert [line.get_label() for line in left.lines][:2] == ["train", "val"]
    assert list_values(left.lines[1], "y") == [row.val_accuracy for row in run.history]


def test_curves_say_test_for_the_notebook_and_survive_short_runs() -> None:
    run = studies.make_run(0.65, {}, chosen="test", epochs=1)
    assert plot_curves(run, "").axes[0].lines[1].get_label() == "test"
    render_png(plot_curves(run.model_copy(update={"history": ()}), ""))


@pytest.mark.parametrize("count", [2, 6, 10, 30, 70])
@pytest.mark.parametrize("normalized", [True, False])
def test_confusion_of_any_number_of_classes(count: int, normalized: bool) -> None:
    names = tuple(f"class with a long name, number {i}" for i in range(count))
    test = studies.make_test(names, 0.7)
    figure = plot_confusion(names, test.confusion, normalized)
    (axes,) = figure.axes
    first = test.confusion[0][0]
    assert (list_texts(axes)[:1] == [f"{first}"]) == (count <= 24)
    assert not overlap(figure, axes, "y")
    if count == 10:
        numbers = [t.get_window_extent() for t in axes.texts]
        assert max(box.width for box in numbers) < axes.get_window_extent().width / count


def test_confusion_divides_by_the_true_class() -> None:
    figure = plot_confusion(("a", "b"), ((3, 1), (0, 40)), normalized=True)
    assert list_texts(figure.axes[0]) == ["75", "25", "·", "100"]
    shades = [p.get_facecolor()[-1] for p in figure.axes[0].patches
              if isinstance(p, Rectangle)]  # fmt: skip
    assert shades == [0.75, 0.25, 1.0]
    counts = plot_confusion(("a", "b"), ((3, 1), (0, 1400)), normalized=False)
    assert list_texts(counts.axes[0]) == ["3", "1", "·", "1,400"]
    render_png(plot_confusion(("a", "b"), ((0, 0), (0, 0)), normalized=True))


def list_legend(axes: Axes) -> list[str]:
    legend = axes.get_legend()
    assert legend is not None
    return [text.get_text() for text in legend.get_texts()]


def test_a_knee_is_drawn_with_its_interval(study: StudyRecord) -> None:
    step = study.steps["conv"]
    assert isinstance(step, SweepStep)
    verdict = step.verdict.model_copy(update={"knee": Knee(value=99, low=61, high=171)})
    axes = plot_sweep_sizes(step.model_copy(update={"verdict": verdict})).axes[0]
    assert "large enough, 95 % interval" in list_legend(axes)
    (bar,) = [line for line in axes.lines if line.get_marker() == "D"]
    assert list_values(bar, "x") == [99]


def test_the_curve_that_a_verdict_was_read_off_is_drawn(study: StudyRecord) -> None:
    step = study.steps["conv"]
    assert isinstance(step, SweepStep)
    curve = CurveRecord(floor=0.3, scale=0.05, power=0.5, largest=1024)
    verdict = step.verdict.model_copy(update={"curve": curve})
    axes = plot_sweep_sizes(step.model_copy(update={"verdict": verdict})).axes[0]
    (line,) = [line for line in axes.lines if line.get_label() == "power law through all sizes"]
    x, y = list_values(line, "x"), list_values(line, "y")
    assert (x[0], x[-1]) == (step.sizes[0].size, pytest.approx(step.sizes[-1].size))
    assert y[0] == pytest.approx(0.7 - 0.05 * (x[0] / 1024) ** -0.5)
    assert "power law through all sizes" in list_legend(axes)
    assert "power law through all sizes" not in list_legend(plot_sweep_sizes(step).axes[0])


def test_sweep_figures_show_every_size(study: StudyRecord) -> None:
    step = study.steps["conv"]
    assert isinstance(step, SweepStep)
    curves = plot_sweep_curves(step)
    sizes, styles = ([t.get_text() for t in legend.get_texts()] for legend in curves.legends)
    assert sizes == [f"{row.size:,}" for row in step.sizes]
    assert styles == ["val", "train", "best epoch"]
    solid = list_values(curves.axes[0].lines[1], "y")
    mine = [run for run in step.runs if run.settings["width"] == 16]
    assert solid[4] == pytest.approx(sum(r.history[4].val_accuracy for r in mine) / 3)
    figure = plot_sweep_sizes(step)
    assert f"take {step.verdict.size}" in list_texts(figure.axes[0])
    assert "large enough, 95 % interval" not in list_legend(figure.axes[0])
    (shaded,) = [p for p in figure.axes[0].patches if isinstance(p, Rectangle)]
    left = shaded.get_x()
    assert 32 < left < 64
    assert left + shaded.get_width() > 1024
    assert not any(overlap(figure, axes, "x") for axes in figure.axes)


def test_sweep_figures_survive_one_size_and_none(study: StudyRecord) -> None:
    step = study.steps["conv"]
    assert isinstance(step, SweepStep)
    for count in (0, 1):
        few = step.model_copy(update={"sizes": step.sizes[:count], "runs": step.runs[:count]})
        render_png(plot_sweep_curves(few))
        render_png(plot_sweep_sizes(few))


def test_trials_mark_best_and_failed(study: StudyRecord) -> None:
    step = study.steps["search"]
    assert isinstance(step, SearchStep)
    lines = {line.get_label(): line for line in plot_trials(step).axes[0].lines}
    assert list_values(lines["failed or stopped"], "x") == [5, 11]
    assert list_values(lines[f"best: trial {step.best_trial}"], "x") == [step.best_trial]
    climb = list_values(lines["best so far"], "y")
    assert climb == sorted(climb) and len(climb) == len(step.trials) - 2
    failed = tuple(t.model_copy(update={"status": "failed"}) for t in step.trials)
    render_png(plot_trials(step.model_copy(update={"trials": failed})))


def test_costs_have_their_frontiers_and_the_best(study: StudyRecord) -> None:
    step = study.steps["search"]
    assert isinstance(step, SearchStep)
    figure = plot_costs(step)
    assert len(figure.axes) == 3
    for axes, cost in zip(figure.axes, COSTS, strict=True):
        lines = {line.get_label(): line for line in axes.lines}
        front = lines["frontier: none cheaper is better"]
        assert len(list_values(front, "x")) == len(step.frontier[cost])
        assert len(list_values(lines["trial"], "x")) == len(step.trials) - 2
    failed = tuple(t.model_copy(update={"val_accuracy": None}) for t in step.trials)
    render_png(plot_costs(step.model_copy(update={"trials": failed})))
    unconfirmed = step.model_copy(update={"confirmation": None})
    assert not plot_trials(unconfirmed).axes[1].axison


def test_backbones_one_and_many(study: StudyRecord) -> None:
    step = study.steps["transfer"]
    assert isinstance(step, TransferStep)
    named = [text.get_text() for text in plot_backbones(step).legends[0].get_texts()]
    assert sorted(named) == sorted(row.name for row in step.backbones)
    single = plot_backbones(step.model_copy(update={"backbones": step.backbones[:1]}))
    assert "n = 5,000" in list_texts(single.axes[0])[0]
    render_png(plot_backbones(step.model_copy(update={"backbones": ()})))


@pytest.mark.parametrize("count", [3, 10, 40, 100])
def test_scores_and_counts_of_many_classes(count: int) -> None:
    names = tuple(f"class {i}" for i in range(count))
    test = studies.make_test(names, 0.7)
    scores = plot_class_scores(test)
    shown = [label.get_text() for label in scores.axes[0].get_yticklabels()]
    worst = min(test.per_class, key=lambda row: (row.recall.value, row.name))
    assert len(shown) == min(count, 40) and shown[0] == worst.name
    assert not overlap(scores, scores.axes[0], "y")
    counts = plot_counts(studies.make_data(names))
    assert len(counts.axes) == 3
    assert not overlap(counts, counts.axes[0], "y")


def test_headline_figure_has_each_model(study: StudyRecord) -> None:
    texts = list_texts(plot_steps(study).axes[0])
    for name in ("baseline", "transfer"):
        score = study.steps[name].test_accuracy  # type: ignore[union-attr]
        assert f"{100 * score.value:.1f} %" in texts
    render_png(plot_steps(study.model_copy(update={"steps": {}})))


def test_runs_and_steps_leave_their_files(study: StudyRecord, tmp_path: Path) -> None:
    step, data = study.steps["baseline"], study.steps["inspect"]
    assert isinstance(step, BaselineStep) and isinstance(data, InspectStep)
    paths = draw_run(step.run, step.test, study.data.classes, tmp_path / "run")
    stems = ("results", "confusion_matrix", "confusion_matrix_normalized")
    assert {path.name for path in paths} == {f"{s}.{k}" for s in stems for k in ("png", "svg")}
    assert sorted(p.name for p in (tmp_path / "run").iterdir()) == sorted(p.name for p in paths)
    (curves,) = draw_run(step.run, None, (), tmp_path / "other")
    assert curves.name == "results.png"
    assert [p.name for p in draw_step(data, tmp_path)] == ["class_counts.png", "class_counts.svg"]
    assert draw_step(step, tmp_path) == ()


def test_names_with_dots_keep_them(tmp_path: Path) -> None:
    figure = plot_confusion(("a", "b"), ((1, 0), (0, 1)), normalized=False)
    paths = save_figure(figure, tmp_path / "vit.v1")
    assert [path.name for path in paths] == ["vit.v1.png", "vit.v1.svg"]


def test_svg_is_deterministic_and_well_formed() -> None:
    names = (*studies.HOSTILE, "$x^2$", "日本")
    confusion = studies.make_test(names, 0.6).confusion
    first = render_svg(plot_confusion(names, confusion, normalized=False))
    assert first == render_svg(plot_confusion(names, confusion, normalized=False))
    assert b"<dc:date>" not in first and b"prefers-color-scheme" not in first
    dark = render_svg(plot_confusion(names, confusion, normalized=False), adaptive=True)
    tags = {element.tag.rpartition("}")[2] for element in ET.fromstring(dark).iter()}
    assert "style" in tags and not tags & {"script", "img", "foreignObject"}


def test_drawing_leaves_the_users_matplotlib_alone() -> None:
    import matplotlib

    with matplotlib.rc_context({"font.size": 31.0, "text.usetex": False}):
        render_svg(plot_confusion(("a", "b"), ((1, 0), (0, 1)), normalized=False))
        assert matplotlib.rcParams["font.size"] == 31.0
        assert matplotlib.rcParams["svg.hashsalt"] is None


def test_sizes_have_different_colours() -> None:
    for count in (1, 2, 7, 8, 12):
        assert len(set(pick_order(count))) == count
