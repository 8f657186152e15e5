"""One or two settings varied: any of a network's or of its training."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass

from tellapart.config import TrainSettings
from tellapart.device import Meter
from tellapart.models import NetworkSettings
from tellapart.plan.vary import list_levels, make_level
from tellapart.records import GridRecord, Level, RunRecord
from tellapart.report.plots import draw_grid
from tellapart.search.grid import keep_levels, run_grid, say_level
from tellapart.search.sweep import Cell, Seeds
from tellapart.study.answers import label_network
from tellapart.study.bench import Bench
from tellapart.study.cells import CellExecutor, CellWork
from tellapart.workspace import read_record, write_json


@dataclass(frozen=True)
class GridCell(CellWork[Cell]):
    """Trains a cell of a grid; its size is the number of a level."""

    levels: tuple[Level, ...]
    epochs: int

    def describe(self, cell: Cell) -> tuple[str, NetworkSettings, TrainSettings]:
        settings, images = self.bench.settings, self.bench.images
        seed = settings.seed + cell.seed
        level = self.levels[cell.size]
        model, recipe = make_level(settings, images, level, seed, self.epochs)
        said = "-".join(f"{name}-{value}" for name, value in level.items())
        label = "".join(mark if mark.isalnum() or mark in "-._" else "-" for mark in said)
        return f"{label}-seed-{seed}", model, recipe


def run_vary(bench: Bench) -> GridRecord:
    """Train every level of the settings that vary, with several seeds, and tell the best."""
    path = bench.folder / "grid" / "record.json"
    if path.is_file():
        return read_record(path, GridRecord)
    plan = bench.plan.grid
    assert plan is not None
    vary = bench.settings.sweep.vary
    levels = list_levels(vary)
    work = GridCell(bench, "grid", levels, plan.epochs or 1)
    epochs = [work.describe(Cell(number, 0))[2].epochs for number in range(len(levels))]
    bench.reporter.begin("grid", plan.seeds * sum(epochs))
    at_once = dict.fromkeys(plan.apart, bench.plan.processes)
    seeds = Seeds(plan.seeds, plan.most_seeds, plan.extra_seconds, at_once)
    executor = CellExecutor(work, lambda cell: cell.size in plan.apart)
    with Meter() as meter:
        found = run_grid(levels, seeds, work, executor, bench.settings.sweep.equivalence)
    record = GridRecord(
        model=label_varied(found.runs[0], vary),
        settings=vary,
        levels=keep_levels(found.sizes, levels),
        left_out=tuple(f"{say_level(levels[one.size])}: {one.reason}" for one in found.left_out),
        verdict=found.verdict,
        epochs=plan.epochs,
        seconds=max(meter.seconds, bench.clock.read("grid")),
        peak_memory_mb=max(meter.peak_memory_mb, *(run.peak_memory_mb for run in found.runs)),
    )
    draw_grid(record, bench.folder / "grid")
    write_json(path, record)
    bench.reporter.say(record.verdict.sentence)
    return record


def label_varied(run: RunRecord, vary: Collection[str]) -> str:
    """Name the network of a grid: with its sizes where these stay."""
    return run.model if {"width", "dense", "convs"} & set(vary) else label_network(run)
