"""A cell: named by all that its result depends on, found, trained, and shown."""

from __future__ import annotations

import pickle
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from tellapart.cells import cell as module
from tellapart.cells import reporter
from tellapart.cells.cell import find_cell, name_cell, run_cells, submit_cell, train_cell
from tellapart.cells.executor import InlineExecutor
from tellapart.cells.local import LocalExecutor
from tellapart.cells.reporter import Reporter
from tellapart.config import SplitSettings, TrainSettings
from tellapart.data import load_images
from tellapart.data.dataset import share_dataset
from tellapart.data.split import make_split
from tellapart.errors import Hopeless, NotFinite, WorkspaceError
from tellapart.evaluate import Seal
from tellapart.models import SimpleSettings
from tellapart.records import EpochRow, RunRecord

from .work import make_cell, make_context


class Kept(Reporter):
    """Keeps what is shown of epochs."""

    def __init__(self) -> None:
        self.done: list[tuple[float, str]] = []
        self.skipped: list[tuple[float, str]] = []

    def advance(self, units: float, text: str) -> None:
        self.done.append((units, text))

    def skip(self, units: float, text: str) -> None:
        self.skipped.append((units, text))


def test_a_name_has_all_that_the_result_depends_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    context, cell = make_context(tmp_path), make_cell()
    other_split = Seal(
        context.dataset, make_split(context.dataset, SplitSettings(seed=1)), tmp_path
    )
    same = name_cell(context, cell)
    assert name_cell(replace(context, folder=tmp_path / "elsewhere"), cell) == same
    assert name_cell(context.remote, cell) == same
    names = [
        same,
        name_cell(replace(context, metric="macro-f1"), cell),
        name_cell(replace(context, protocol="notebook"), cell),
        name_cell(replace(context, precision="bfloat16"), cell),
        name_cell(replace(context, seal=other_split), cell),
        name_cell(
            replace(
                context,
                dataset=replace(context.dataset, labels=context.dataset.labels[::-1].copy()),
            ),
            cell,
        ),
        name_cell(context, replace(cell, threads=2)),
        name_cell(context, replace(cell, share=0.5)),
        name_cell(context, replace(cell, share=0.5, share_seed=1)),
        name_cell(context, replace(cell, model=SimpleSettings(width=5))),
        name_cell(context, replace(cell, recipe=TrainSettings(seed=5))),
    ]
    monkeypatch.setattr(module, "__version__", "0.0.0")
    names.append(name_cell(context, cell))
    hashes = [name.rpartition("-")[2] for name in names]
    assert len(set(hashes)) == len(names)
    assert names[0].startswith("seed-0-")


def test_a_cell_is_found_whatever_its_step_and_label(tmp_path: Path) -> None:
    context, cell = make_context(tmp_path, Kept()), make_cell()
    assert find_cell(context, cell) is None
    run = train_cell(context, cell)
    other = replace(cell, place="search", label="trial")
    assert find_cell(context, other) == run
    rows: list[EpochRow] = []
    assert train_cell(context, other, rows.append) == run
    assert tuple(rows) == run.history, "who follows hears of the epochs that were read"
    assert context.found == [run]
    assert isinstance(context.reporter, Kept)
    assert context.reporter.skipped == [(2, "trial: read")]


def test_a_cell_that_failed_is_not_trained_again(tmp_path: Path) -> None:
    context, cell = make_context(tmp_path), make_cell(lr=1e30)
    with pytest.raises(NotFinite) as first:
        train_cell(context, cell)
    context = replace(context, reporter=Kept())
    with pytest.raises(NotFinite) as second:
        train_cell(context, replace(cell, label="again"))
    assert (str(second.value), second.value.seconds) == (str(first.value), first.value.seconds)
    assert isinstance(context.reporter, Kept) and not context.reporter.done


def give_up(row: EpochRow) -> None:
    raise Hopeless("no hope")


def test_what_a_hopeless_training_left_is_removed(tmp_path: Path) -> None:
    context, cell = make_context(tmp_path), make_cell()
    with pytest.raises(Hopeless):
        train_cell(context, cell, give_up)
    assert not list(tmp_path.glob("*/*/resume*")) and find_cell(context, cell) is None
    with LocalExecutor(1) as executor:
        error = submit_cell(context, cell, executor, give_up).exception()
    assert isinstance(error, Hopeless) and str(error) == "no hope"


def test_a_time_that_is_over_leaves_what_is_not_begun_but_reads_what_is_done(
    tmp_path: Path,
) -> None:
    context = make_context(tmp_path)
    cells = [make_cell(seed, epochs=1) for seed in range(3)]
    first, *rest = run_cells(context, cells, InlineExecutor(), lambda: True)
    assert isinstance(first, RunRecord) and rest == [None, None]
    train_cell(context, cells[1])
    assert [bool(found) for found in run_cells(context, cells, InlineExecutor(), lambda: True)] == [
        True,
        True,
        False,
    ]


class Broken(InlineExecutor):
    """An executor whose every call fails as on a full disk."""

    def submit(self, function: Callable[..., Any], /, *args: object, **_: object) -> Any:
        def fail() -> None:
            raise WorkspaceError("the disk is full")

        self.calls = getattr(self, "calls", 0) + 1
        return super().submit(fail)

    remote = True  # so that cells are handed to it


def test_what_is_no_failure_of_a_training_ends_the_others(tmp_path: Path) -> None:
    executor = Broken()
    with pytest.raises(WorkspaceError, match="full"):
        run_cells(make_context(tmp_path), [make_cell(seed) for seed in range(3)], executor)
    assert executor.calls == 1


def train(folder: Path, epochs: int, patience: int = 0) -> Kept:
    kept, cell = Kept(), make_cell()
    recipe = TrainSettings(epochs=epochs, patience=patience, lr=1e-9, schedule="constant")
    train_cell(make_context(folder, kept), replace(cell, recipe=recipe))
    return kept


def test_a_training_shows_its_epochs_and_that_nothing_better_came(tmp_path: Path) -> None:
    kept = train(tmp_path / "whole", 2)
    assert kept.skipped == [] and [units for units, _ in kept.done] == [1, 1]
    kept = train(tmp_path / "short", 9, patience=1)
    assert [text for _, text in kept.skipped] == ["seed-0: nothing better came"]
    assert sum(units for units, _ in (*kept.done, *kept.skipped)) == 9


def test_batches_of_a_long_epoch_are_shown(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reporter, "OFTEN", 0.0)
    kept = train(tmp_path, 1)
    assert len(kept.done) > 5
    assert sum(units for units, _ in kept.done) == pytest.approx(1)
    assert kept.done[0][1].startswith("seed-0: epoch 1, ") and "% of it" in kept.done[0][1]
    assert "val score" in kept.done[-1][1]


@pytest.mark.slow
def test_a_training_elsewhere_is_shown_when_it_ends(tmp_path: Path) -> None:
    kept = Kept()
    with LocalExecutor(2) as executor:
        cells = [make_cell(0), make_cell(1, lr=1e30)]
        run, _ = run_cells(make_context(tmp_path, kept), cells, executor)
    assert isinstance(run, RunRecord)
    assert kept.done == [(2, f"seed-0: {100 * run.val_score.value:.1f} %")]
    ((units, text),) = kept.skipped
    assert units == 2 and text.startswith("seed-1: ") and "finite" in text


def make_photos(folder: Path) -> Path:
    """Write 60 files of two classes."""
    for number, name in enumerate(("dark", "light")):
        (folder / name).mkdir(parents=True)
        for file in range(30):
            pixels = np.full((12, 12, 3), 40 + 100 * number + file, np.uint8)
            Image.fromarray(pixels).save(folder / name / f"{file}.png")
    return folder


@pytest.mark.parametrize("what", ["digits", "photos"])
def test_shared_pixels_are_the_same_and_small_to_hand_on(what: str, tmp_path: Path) -> None:
    name = "digits" if what == "digits" else str(make_photos(tmp_path / "photos"))
    source = (images := load_images(name)).source
    shared = share_dataset(images, tmp_path / "pixels.npy").source
    rows = np.arange(60)[::7]
    pixels = source.read(rows)
    assert (shared.read(rows) == pixels).all()
    handed = pickle.dumps(shared)
    assert len(handed) < 100 * 60 + 500 < len(pickle.dumps(source)), "pixels were handed on"
    there = pickle.loads(handed)
    assert (there.read(rows) == pixels).all()
    assert there.streamed == source.streamed
    if what == "photos":  # other sizes are decoded still
        assert there.read(rows, 6).shape == (len(rows), 6, 6, 3)


def test_a_context_for_other_processes_is_small(tmp_path: Path) -> None:
    context = make_context(tmp_path)
    per_image = len(pickle.dumps(context.remote)) / len(context.dataset.labels)
    assert per_image < 60, "more than a label, a hash and a row of the split"
