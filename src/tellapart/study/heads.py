"""Heads of step 6: one fitted on a backbone's features, and a sweep over the dense one's size."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial

from tellapart.config import HeadSettings
from tellapart.device import choose_device, choose_precision
from tellapart.models.backbone import Backbone
from tellapart.plan import plan_head, plan_seeds
from tellapart.records import HeadSweepRecord, RunRecord
from tellapart.search.executor import InlineExecutor
from tellapart.search.sweep import Cell, Seeds, check_sizes, run_sweep
from tellapart.study.bench import Bench
from tellapart.study.candidates import Work
from tellapart.train.checkpoint import ARGS
from tellapart.transfer.features import Features
from tellapart.transfer.head import Examples, HeadArgs, fit_head
from tellapart.transfer.logistic import fit_logistic
from tellapart.workspace import write_json


@dataclass(frozen=True)
class Extracted:
    """A backbone with the features of all images, and of the training images in each view."""

    name: str
    backbone: Backbone
    plain: Features
    views: tuple[Features, ...]

    @property
    def label(self) -> str:
        """The backbone's name as a part of a file's."""
        return self.backbone.name.replace("/", "_").replace(":", "_")


def fit_once(
    work: Work, extracted: Extracted, head: HeadSettings, count: int, suffix: str = ""
) -> RunRecord:
    """Fit a head on so many views, or read it where it was fitted before."""
    bench = work.bench
    device = choose_device(bench.settings.device)
    label = f"{extracted.label}-{head.kind}" + (f"-views-{count}" if count else "") + suffix
    views = work.views[: 1 + count]
    engines = "+".join(part.engine for part in (extracted.plain, *extracted.views[:count]))
    about = (head, extracted.backbone.key, engines, device.type, choose_precision(device))
    cell = bench.name_cell(label, *about, *(view.name for view in views))
    folder = bench.folder / "transfer" / cell
    found = bench.find_cell(cell)
    if found is not None:
        bench.reporter.skip(head.epochs, f"{label}: read")
        return found
    rows = work.rows
    tables = tuple(view.vectors for view in extracted.views[:count])
    examples = Examples(extracted.plain.vectors, bench.dataset.labels, tables)
    if head.kind == "logistic":
        show = partial(_say_penalty, bench, label)
        run = fit_logistic(examples, rows, head, folder, show)
        bench.reporter.advance(head.epochs, f"{label}: {100 * run.val_accuracy.value:.1f} %")
    else:
        run = fit_head(examples, rows, head, folder, bench.watch(label))
    name, backbone = extracted.name, extracted.backbone
    args = HeadArgs(
        recipe=HeadSettings.model_validate(run.settings | {"seed": run.seed}),
        classes=bench.dataset.classes,
        backbone=name if not name.startswith("local-dir:") else backbone.name,
        backbone_key=backbone.key,
        features=backbone.features,
        image_size=backbone.image_size,
    )
    write_json(folder / ARGS, args)
    bench.keep_time("transfer", folder.name, run.seconds)
    write_json(folder / "record.json", run)  # last of all: it says that this head is done
    return run


def _say_penalty(bench: Bench, label: str, penalty: float, accuracy: float) -> None:
    bench.reporter.advance(0, f"{label}: penalty {penalty:.2g}: {100 * accuracy:.1f} %")


def sweep_heads(work: Work, extracted: Extracted, count: int) -> HeadSweepRecord | None:
    """Fit dense heads of the sizes that were asked for, several seeds each; None of none.

    Args:
        count: augmented views of each training image that they learn from.
    """
    bench = work.bench
    asked = bench.settings.transfer.head_sizes
    if not asked:
        return None
    sizes = check_sizes(asked)
    head = plan_head(bench.settings)
    first, most = plan_seeds(bench.settings, bench.images)

    def run_cell(cell: Cell) -> RunRecord:
        seed = bench.settings.seed + cell.seed
        own = head.model_copy(update={"kind": "dense", "dense": cell.size, "seed": seed})
        return fit_once(work, extracted, own, count, f"-{cell.size}-seed-{seed}")

    sweep = run_sweep(
        sizes,
        Seeds(first, most),
        run_cell,
        InlineExecutor(),
        bench.settings.sweep.equivalence,
    )
    return HeadSweepRecord(
        backbone=extracted.backbone.name, sizes=sweep.sizes, verdict=sweep.verdict
    )


def count_sweep(bench: Bench) -> int:
    """Return the epochs that the first seeds of such a sweep have."""
    first, _ = plan_seeds(bench.settings, bench.images)
    return len(bench.settings.transfer.head_sizes) * first * plan_head(bench.settings).epochs
