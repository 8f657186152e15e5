"""The last part of step 6: the best backbone goes on learning, and a paired test of its gain."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from tellapart.data.dataset import Dataset
from tellapart.evaluate import PREDICTIONS, Look, evaluate_model, predict_run, read_correct
from tellapart.metrics.comparisons import compare_pairs
from tellapart.models.backbone import Backbone
from tellapart.models.tuned import TuneSettings
from tellapart.plan import plan_tuning
from tellapart.records import RunRecord, TestRecord, TunedRecord
from tellapart.report.plots import draw_run
from tellapart.report.wording import say_comparison, say_seconds
from tellapart.study.bench import Bench
from tellapart.train.learner import Task
from tellapart.train.loop import Rows, fit_network
from tellapart.train.outcome import finish_run
from tellapart.train.pace import measure_task
from tellapart.transfer.tune import prepare_tuning
from tellapart.workspace import read_record

LOOKING = 1 / 3
"""What an image costs that is looked at, over one that is trained on: no way back."""


@dataclass(frozen=True)
class Frozen:
    """The head of a frozen backbone that fine-tuning begins with, and its test."""

    backbone: Backbone
    run: RunRecord
    tested: TestRecord


def tune_best(bench: Bench, rows: Rows, frozen: Frozen) -> tuple[TunedRecord, TestRecord] | None:
    """Fine-tune a backbone from its best head, where the user asked for it.

    How long it takes is measured and said before it begins.

    Raises:
        NotFinite: the loss, or an output, was not finite.
        Interrupted: a stop was asked for; the same command goes on from the checkpoint.
    """
    settings = plan_tuning(bench.settings)
    if settings.depth == "none":
        return None
    depth: Literal["last", "all"] = settings.depth
    folder = bench.folder / frozen.run.folder
    dataset, task = prepare_tuning(
        bench.dataset,
        frozen.backbone,
        folder,
        frozen.run.weights,
        settings,
        bench.settings.device,
    )
    label = f"{frozen.backbone.name.replace('/', '_').replace(':', '_')}-tuned-{depth}"
    cell = bench.name_cell(label, task.settings, task.recipe, task.key, bench.device)
    expected = _reckon(bench, cell, dataset, rows, task, settings)
    run = _train(bench, cell, dataset, rows, task)
    own = bench.folder / run.folder
    test = evaluate_model(
        bench.seal,
        Look("transfer", run.cell, "fine-tuned model of step transfer"),
        predict_run(dataset, own, bench.settings.device, run),
        own,
        optimistic=bench.notebook,
    )
    draw_run(run, test, dataset.classes, own)
    correct = read_correct({"frozen": folder / PREDICTIONS, "tuned": own / PREDICTIONS})
    names = {"frozen": "the frozen head", "tuned": "the fine-tuned network"}
    (comparison,) = compare_pairs(correct, names, say_comparison)
    record = TunedRecord(
        depth=depth,
        expected_seconds=expected,
        run=run,
        frozen=frozen.run,
        frozen_accuracy=frozen.tested.accuracy,
        accuracy=test.accuracy,
        comparison=comparison,
        kept=run.val_accuracy.value > frozen.run.val_accuracy.value,
    )
    return record, test


def _reckon(
    bench: Bench, cell: str, dataset: Dataset, rows: Rows, task: Task, settings: TuneSettings
) -> float:
    """Return the seconds that it should take here, measured by the first start, and say so."""
    epochs = settings.epochs

    def measure() -> float:
        pace = measure_task(dataset, rows.train, task)
        shown = len(rows.train) + LOOKING * len(rows.watch)
        return pace * shown * epochs

    seconds = bench.settle("transfer", f"tuning-{cell}", float, measure)
    said = f"fine-tuning: {epochs} epochs, about {say_seconds(seconds)} (± 30 %)"
    bench.reporter.advance(0, said)
    return seconds


def _train(bench: Bench, cell: str, dataset: Dataset, rows: Rows, task: Task) -> RunRecord:
    folder = bench.folder / "transfer" / cell
    path = folder / "record.json"
    label = cell.rpartition("-")[0]
    if path.is_file():
        bench.reporter.skip(task.recipe.epochs, f"{label}: read")
        return read_record(path, RunRecord)
    show = bench.watch(label)
    run = fit_network(dataset, rows, task, folder, show, show.show_part)
    bench.keep_time("transfer", cell, run.seconds)
    finish_run(folder, run)
    return run
