"""Figures: the right marks at the right places, nothing overlapping, the same bytes each time."""

from __future__ import annotations

import base64
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
    InspectStep,
    LearnStep,
    SearchStep,
    StudyRecord,
    SweepStep,
    TransferStep,
    VaryStep,
)
from tellapart.report.canvas import (
    embed_figure,
    pick_order,
    render_png,
    render_svg,
    save_figure,
)
from tellapart.report.headline import list_models, plot_steps
from tellapart.report.plots import (
    draw_run,
    plot_class_scores,
    plot_confusion,
    plot_curves,
    plot_models,
)
from tellapart.report.sections.inspect import plot_counts
from tellapart.report.sections.learn import plot_learning
from tellapart.report.sections.search import plot_costs, plot_trials
from tellapart.report.sections.sweep import plot_sweep_curves, plot_sweep_sizes
from tellapart.report.sections.transfer import plot_backbones
from tellapart.report.sections.vary import plot_levels
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
    figure = plot_curves(run)
    left, right = figure.axes
    best = next(row for row in run.history if row.epoch == run.best_epoch)
    assert f"best epoch {run.best_epoch}: {100 * best.val_accuracy:.1f} %" in list_texts(left)
    assert f"best epoch {run.best_epoch}: {best.val_loss:.3f}" in list_texts(right)
    assert [line.get_label() for line in left.lines][:2] == ["train", "val"]
    assert list_values(left.lines[1], "y") == [row.val_accuracy for row in run.history]


def test_curves_say_test_for_the_notebook_and_survive_short_runs() -> None:
    run = studies.make_run(0.65, {}, chosen="test", epochs=1)
    assert plot_curves(run).axes[0].lines[1].get_label() == "test"


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
    texts = list_texts(figure.axes[0])
    assert "take 64" in texts and "70 %" in texts
    shaded = [p for p in figure.axes[0].patches if isinstance(p, Rectangle)]
    assert len(shaded) == len(step.sizes)
    assert max(shaded, key=lambda patch: patch.get_alpha() or 0).get_x() == pytest.approx(2**5.5)
    assert not any(overlap(figure, axes, "x") for axes in figure.axes)


def test_sweep_figures_survive_one_size(study: StudyRecord) -> None:
    step = study.steps["conv"]
    assert isinstance(step, SweepStep)
    few = step.model_copy(
        update={
            "sizes": step.sizes[:1],
            "runs": step.runs[:1],
            "ranking": studies.make_ranking(1, 0),
        }
    )
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
    unconfirmed = step.model_copy(update={"confirmation": None})
    assert not plot_trials(unconfirmed).axes[1].axison


def test_backbones_one_and_many(study: StudyRecord) -> None:
    step = study.steps["transfer"]
    assert isinstance(step, TransferStep)
    named = [text.get_text() for text in plot_backbones(step).legends[0].get_texts()]
    assert sorted(named) == sorted(row.name for row in step.backbones)
    render_png(plot_backbones(step.model_copy(update={"backbones": step.backbones[:1]})))


def test_learning_has_its_points_and_what_twice_the_data_brings(study: StudyRecord) -> None:
    step = study.steps["learn"]
    assert isinstance(step, LearnStep)
    (axes,) = plot_learning(step).axes
    dots = [line for line in axes.lines if line.get_marker() == "o" and line.get_color() == "none"]
    assert len(dots) == len(step.points)
    (gain,) = [line for line in axes.lines if line.get_marker() == "D"]
    assert list_values(gain, "x") == [2 * step.points[-1].images]
    render_png(plot_learning(step.model_copy(update={"curve": None, "gain": None})))


def test_one_setting_is_dots_and_two_are_a_map(study: StudyRecord) -> None:
    two = study.steps["vary"]
    assert isinstance(two, VaryStep)
    texts = list_texts(plot_levels(two).axes[0])
    assert texts[:2] == ["70.0", "± 1.3"] and len(texts) == 2 * len(two.levels)
    (axes,) = plot_levels(studies.make_vary({"lr": (0.0001, 0.001, 0.01)})).axes
    labels = [label.get_text() for label in axes.get_yticklabels()]
    assert labels == ["0.0001", "take: 0.001", "0.01"]


@pytest.mark.parametrize("count", [3, 10, 40, 100])
def test_scores_and_counts_of_many_classes(count: int, study: StudyRecord) -> None:
    names = tuple(f"class {i}" for i in range(count))
    test = studies.make_test(names, 0.7)
    scores = plot_class_scores(test)
    shown = [label.get_text() for label in scores.axes[0].get_yticklabels()]
    worst = min(test.per_class, key=lambda row: (row.recall.value, row.name))
    assert len(shown) == min(count, 40) and shown[0] == worst.name
    assert not overlap(scores, scores.axes[0], "y")
    step = study.steps["inspect"].model_copy(update={"data": studies.make_data(names)})
    assert isinstance(step, InspectStep)
    counts = plot_counts(step)
    assert len(counts.axes) == 3
    assert not overlap(counts, counts.axes[0], "y")


def test_headline_figure_has_each_model(study: StudyRecord) -> None:
    models = list_models(study)
    texts = list_texts(plot_steps(models).axes[0])
    assert texts[::2] == [f"{100 * step.test_score.value:.1f} %" for step in models.values()]


def test_runs_leave_their_files(study: StudyRecord, tmp_path: Path) -> None:
    step = study.steps["baseline"]
    assert isinstance(step, BaselineStep)
    draw_run(step.run, step.test, study.data.classes, tmp_path / "run")
    stems = ("results", "confusion_matrix", "confusion_matrix_normalized")
    files = {path.name for path in (tmp_path / "run").iterdir()}
    assert files == {f"{stem}.{kind}" for stem in stems for kind in ("png", "svg")}
    draw_run(step.run, None, (), tmp_path / "other")
    assert [path.name for path in (tmp_path / "other").iterdir()] == ["results.png"]


def test_names_with_dots_keep_them(tmp_path: Path) -> None:
    figure = plot_confusion(("a", "b"), ((1, 0), (0, 1)), normalized=False)
    save_figure(figure, tmp_path / "vit.v1")
    assert {path.name for path in tmp_path.iterdir()} >= {"vit.v1.png", "vit.v1.svg"}


def test_the_page_carries_what_was_saved(tmp_path: Path) -> None:
    def draw() -> Figure:
        return plot_confusion(("a", "b"), ((1, 0), (0, 1)), normalized=False)

    save_figure(draw(), tmp_path / "vit.v1")
    drawn = embed_figure(draw)
    assert embed_figure(draw, tmp_path, "absent") == drawn
    saved = tmp_path / "vit.v1.svg"
    saved.write_bytes(b"<svg/>")
    assert embed_figure(draw, tmp_path, "vit.v1") == drawn, "of an earlier version, or not ours"
    saved.write_bytes(b"<svg>prefers-color-scheme: dark</svg>")
    kept = embed_figure(draw, tmp_path, "vit.v1")
    assert kept != drawn and b"dark" in base64.b64decode(kept.partition(",")[2])
    (tmp_path / "study").mkdir()
    for outside in ("../vit.v1", str(tmp_path / "vit.v1")):
        assert embed_figure(draw, tmp_path / "study", outside) == drawn


def test_svg_is_deterministic_and_well_formed() -> None:
    names = (*studies.HOSTILE, "$x^2$", "日本")
    confusion = studies.make_test(names, 0.6).confusion
    first = render_svg(plot_confusion(names, confusion, normalized=False))
    assert first == render_svg(plot_confusion(names, confusion, normalized=False))
    assert b"<dc:date>" not in first and b"prefers-color-scheme: dark" in first
    tags = {element.tag.rpartition("}")[2] for element in ET.fromstring(first).iter()}
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


def test_models_are_drawn_best_first_and_those_not_told_apart_in_blue() -> None:
    models = {name: studies.make_estimate(share, 300) for name, share in MODELS.items()}
    figure = plot_models(models, ("good", "best"), "accuracy")
    (axes,) = figure.axes
    assert [label.get_text() for label in axes.get_yticklabels()] == ["best", "good", "bad"]
    assert axes.get_legend_handles_labels()[1] == [
        "not told from the best",
        "does worse than the best",
    ]
    many = {f"model {number}": studies.make_estimate(0.5, 300) for number in range(60)}
    assert (
        "the best 40 of 60 models"
        in plot_models(many, tuple(many), "accuracy").axes[0].get_xlabel()
    )


MODELS = {"bad": 0.5, "best": 0.9, "good": 0.88}
