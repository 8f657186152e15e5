"""The six steps, each a function from the bench to its record.

``seconds`` and ``peak_memory_mb`` of a record are left at 0 for the caller, who measures.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from tellapart.audit import audit_images
from tellapart.config import DEEP, HeadSettings, ModelSettings, TrainSettings
from tellapart.evaluate import Look, evaluate_model
from tellapart.models import Shape
from tellapart.models.backbone import EMBEDDED, Backbone, find_default, make_backbone
from tellapart.plan import (
    plan_epochs,
    plan_head,
    plan_recipe,
    plan_seeds,
    plan_sizes,
    plan_swept,
    plan_trials,
)
from tellapart.records import (
    AnyStep,
    BackboneRecord,
    BaselineStep,
    InspectStep,
    ModelStep,
    RunRecord,
    SearchStep,
    StepName,
    SweepStep,
    TestRecord,
    TransferStep,
    TrialRecord,
)
from tellapart.report.plots import draw_run, draw_step
from tellapart.report.wording import say_estimate
from tellapart.search.executor import InlineExecutor
from tellapart.search.optimize import fit_space, run_search, split_settings
from tellapart.search.sweep import Cell, check_sizes, run_sweep
from tellapart.study.answers import (
    answer_baseline,
    answer_search,
    answer_sweep,
    answer_transfer,
    label_network,
)
from tellapart.study.bench import Bench
from tellapart.transfer.features import Features, extract_features
from tellapart.transfer.head import fit_head, load_head, predict_head, write_head_args
from tellapart.workspace import read_record, write_json

UNMEASURED = {"status": "done", "seconds": 0.0, "peak_memory_mb": 0.0}


def run_inspect(bench: Bench) -> InspectStep:
    """Step 1: what is in the data?"""
    bench.reporter.begin("inspect", 1)
    record = audit_images(bench.dataset, bench.split, bench.folder / "inspect")
    draw_step(record, bench.folder / "inspect")
    bench.reporter.advance(1, "looked at the data")
    return record


def run_baseline(bench: Bench) -> BaselineStep:
    """Step 2: how far does a simple network get?"""
    model = bench.settings.model
    recipe = plan_recipe(bench.settings, _part(model), bench.images, bench.settings.seed)
    bench.reporter.begin("baseline", recipe.epochs)
    run = bench.train_cell("baseline", model.name, model, recipe)
    test = bench.test_run("baseline", run)
    answer = answer_baseline(run, test, bench.dataset.classes)
    return BaselineStep(answer=answer, **_describe(run, test))


def run_conv(bench: Bench) -> SweepStep:
    """Step 3: does the width of the convolution matter?"""
    return _run_sweep(bench, "conv")


def run_dense(bench: Bench) -> SweepStep:
    """Step 4: does the size of the dense layer matter?"""
    return _run_sweep(bench, "dense")


def _run_sweep(bench: Bench, step: StepName) -> SweepStep:
    dataset, settings = bench.dataset, bench.settings
    shape = Shape(dataset.channels, dataset.image_size, len(dataset.classes))
    sizes, left_out = plan_sizes(settings, step, shape)
    sizes, seeds = check_sizes(sizes), plan_seeds(settings, bench.images)
    epochs = plan_epochs(settings, step, bench.images)
    bench.reporter.begin(step, epochs * len(sizes) * seeds)
    setting = "width" if step == "conv" else "dense"

    def run_cell(cell: Cell) -> RunRecord:
        recipe = plan_recipe(settings, step, bench.images, settings.seed + cell.seed)
        label = f"{setting}-{cell.size}-seed-{recipe.seed}"
        return bench.train_cell(step, label, plan_swept(step, cell.size), recipe)

    records, verdict, runs = run_sweep(sizes, seeds, run_cell, InlineExecutor())
    final = next(run for run in runs if run.settings[setting] == verdict.size)
    test = bench.test_run(step, final)
    record = SweepStep(
        step="conv" if step == "conv" else "dense",
        setting=setting,
        sizes=records,
        verdict=verdict,
        runs=runs,
        left_out=left_out,
        answer=answer_sweep(setting, verdict, test, records),
        **_describe(final, test),
    )
    draw_step(record, bench.folder / step)
    return record


def run_search_step(bench: Bench) -> SearchStep:
    """Step 5: what is the best network from scratch?"""
    settings = bench.settings
    trials = plan_trials(settings)
    first = plan_recipe(settings, "trial", bench.images, settings.seed)
    longer = plan_epochs(settings, "search", bench.images)
    bench.reporter.begin("search", trials * first.epochs + (0 if bench.notebook else longer))

    if bench.notebook:
        records, final = _run_notebook_search(bench, first)
        best = 1
    else:
        space = fit_space(bench.dataset.image_size, first.epochs, first.batch_size, settings.seed)

        def run_trial(model: ModelSettings, recipe: TrainSettings) -> RunRecord:
            return bench.train_cell("search", "trial", model, recipe)

        def show(trial: TrialRecord, of: int) -> None:
            found = trial.val_accuracy
            said = f"val {say_estimate(found)}" if found else f"failed: {trial.note}"
            bench.reporter.say(f"trial {trial.number} of {of}: {said}")

        journal = bench.folder / "search" / "trials.journal"
        records, winner = run_search(space, trials, run_trial, journal, show)
        best = next(trial.number for trial in records if trial.cell == winner.cell)
        chosen = next(trial for trial in records if trial.number == best)
        model, recipe = split_settings(dict(chosen.settings), space)
        recipe = recipe.model_copy(update={"epochs": longer})
        final = bench.train_cell("search", "best", model, recipe)

    test = bench.test_run("search", final)
    record = SearchStep(
        trials=records,
        best_trial=best,
        answer=answer_search(records, best, final, test),
        **_describe(final, test),
    )
    draw_step(record, bench.folder / "search")
    return record


def _run_notebook_search(
    bench: Bench, recipe: TrainSettings
) -> tuple[tuple[TrialRecord, ...], RunRecord]:
    """The reference study searched by hand: its own best network is the one trial."""
    run = bench.train_cell("search", "deep", DEEP, recipe)
    trial = TrialRecord(
        number=1,
        status="done",
        cell=run.cell,
        settings=run.settings,
        parameters=run.parameters,
        seconds=run.seconds,
        val_accuracy=run.val_accuracy,
        note="the reference study's network, chosen by hand",
    )
    return (trial,), run


def name_backbones(bench: Bench) -> tuple[str, ...]:
    """Return the backbones of step 6: those named, else a cached one, else the embedded one."""
    return bench.settings.backbones or (find_default(),)


def run_transfer(bench: Bench) -> TransferStep:
    """Step 6: what does a pretrained backbone add?"""
    names, head = name_backbones(bench), plan_head(bench.settings)
    bench.reporter.begin("transfer", len(names) * (len(bench.dataset) + head.epochs))
    done = [_transfer_one(bench, name, head) for name in names]
    chosen, backbone, features = max(done, key=lambda found: found[0].val_accuracy.value)
    run = chosen.run
    folder = bench.folder / run.folder
    network = load_head(folder, backbone.key)
    test = evaluate_model(
        bench.seal,
        Look("transfer", run.cell, "final model of step transfer"),
        lambda rows: predict_head(network, features.vectors, rows),
        folder,
        optimistic=bench.notebook,
    )
    draw_run(run, test, bench.dataset.classes, folder)
    scratch = bench.read_step("search", SearchStep) or bench.read_step("baseline", BaselineStep)
    assert scratch is None or isinstance(scratch, ModelStep)
    description = _describe(run, test) | {"model": f"{chosen.name} + head"}
    record = TransferStep(
        backbones=tuple(record for record, _, _ in done),
        advice=_advise(bench, chosen),
        answer=answer_transfer(chosen, len(done) - 1, test, scratch),
        **description,
    )
    draw_step(record, bench.folder / "transfer")
    return record


def _transfer_one(
    bench: Bench, name: str, head: HeadSettings
) -> tuple[BackboneRecord, Backbone, Features]:
    backbone = make_backbone(name)
    label = backbone.name.replace("/", "_").replace(":", "_")
    cell = bench.name_cell(label, head, backbone.key)
    folder = bench.folder / "transfer" / cell
    shown = 0

    def show(done: int, total: int) -> None:
        nonlocal shown
        bench.reporter.advance(done - shown, f"{label}: features of {done:,} of {total:,} images")
        shown = done

    features = extract_features(bench.dataset, backbone, bench.settings.device, show)
    path = folder / "backbone.json"
    if path.is_file():
        bench.reporter.advance(head.epochs, f"{label}: head read")
        return read_record(path, BackboneRecord), backbone, features
    rows = bench.open_rows("transfer")
    labels = bench.dataset.labels
    run = fit_head(features.vectors, labels, rows, head, folder, bench.watch(f"{label} head"))
    write_head_args(
        folder,
        head,
        bench.dataset.classes,
        {
            "backbone": name if not name.startswith("local-dir:") else backbone.name,
            "backbone_key": backbone.key,
            "features": backbone.features,
            "image_size": backbone.image_size,
        },
    )
    write_json(folder / "record.json", run)
    record = BackboneRecord(
        name=backbone.name,
        source=backbone.source,
        license=backbone.license,
        parameters=backbone.parameters,
        features=backbone.features,
        image_size=backbone.image_size,
        engine=features.engine,
        extraction_seconds=features.seconds,
        images_computed=features.computed,
        head_parameters=run.parameters,
        val_accuracy=run.val_accuracy,
        run=run,
    )
    write_json(path, record)
    bench.keep_time("transfer", features.seconds + run.seconds)
    return record, backbone, features


def _advise(bench: Bench, chosen: BackboneRecord) -> str:
    if chosen.source != "package":
        return f"Backbone {chosen.name}, weights under licence {chosen.license}."
    advice = (
        "No backbone was named and none is cached, so the small one embedded in tellapart was "
        "used; it has seen CIFAR-10 alone. "
        if not bench.settings.backbones
        else "The embedded backbone has seen CIFAR-10 alone. "
    )
    if bench.dataset.name == "cifar10":
        advice += (
            "These are the images that it was trained on, so its figure says nothing of transfer. "
        )
    return advice + (
        "For a stronger one run 'tellapart fetch --backbone mobilenetv4_conv_small.e2400_r224_in1k'"
        " on a machine with a network, or give --backbone local-dir:FOLDER with timm's files "
        f"(--backbone {EMBEDDED} always names the embedded one)."
    )


def _part(model: ModelSettings) -> str:
    return "search" if model.name == "deep" else "baseline"


def _describe(run: RunRecord, test: TestRecord) -> dict[str, Any]:
    return UNMEASURED | {
        "model": label_network(run),
        "parameters": run.parameters,
        "val_accuracy": run.val_accuracy,
        "test_accuracy": test.accuracy,
        "run": run,
        "test": test,
    }


RUN_STEP: dict[StepName, Callable[[Bench], AnyStep]] = {
    "inspect": run_inspect,
    "baseline": run_baseline,
    "conv": run_conv,
    "dense": run_dense,
    "search": run_search_step,
    "transfer": run_transfer,
}
KIND: dict[StepName, type[AnyStep]] = {
    "inspect": InspectStep,
    "baseline": BaselineStep,
    "conv": SweepStep,
    "dense": SweepStep,
    "search": SearchStep,
    "transfer": TransferStep,
}
