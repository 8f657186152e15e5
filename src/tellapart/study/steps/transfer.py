"""What does a pretrained backbone add?"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any, Literal

from tellapart.cells.cell import open_rows
from tellapart.evaluate import PREDICTIONS, read_correct
from tellapart.metrics.comparisons import compare_pairs
from tellapart.models.backbone import Backbone, list_here
from tellapart.records import (
    BackboneRecord,
    HeadRecord,
    RunRecord,
    ScreenRecord,
    TestRecord,
    TransferPlan,
    TransferStep,
    TunedRecord,
)
from tellapart.report.wording import say_comparison, say_seconds
from tellapart.study.backbones import (
    check_backbones,
    choose_backbones,
    find_resources,
    find_views,
    list_extracted,
    plan_transfer,
    watch_images,
)
from tellapart.study.context import PASS, Context
from tellapart.study.deadline import CAREFUL, FINISH, Deadline
from tellapart.study.heads import (
    Extracted,
    HeadCell,
    TuneCell,
    cross_backbones,
    predict_joined,
    sweep_heads,
)
from tellapart.study.rules import plan_heads, plan_tuning
from tellapart.study.steps.step import Step
from tellapart.train.pace import measure_task
from tellapart.transfer.features import Features, extract_features
from tellapart.transfer.tune import prepare_tuning
from tellapart.transfer.views import View

LARGER = "efficientnet_b0.ra4_e3600_r224_in1k"


def run_transfer(context: Context, plan: TransferPlan, deadline: Deadline) -> TransferStep:
    """Compute features, fit heads, choose on val, and test once."""
    heads, views = plan_heads(context.settings), find_views(context)
    images = len(context.dataset) + (len(views) - 1) * context.images
    units = images + len(views) * sum(head.epochs for head in heads)
    context.reporter.expect(len(plan.sizes) * units)
    backbones, screened = choose_backbones(context, plan)
    context.reporter.expect(len(backbones) * units)
    done: list[tuple[BackboneRecord, Extracted]] = []
    for backbone in backbones:
        extracted = _extract(context, plan, backbone)
        done.append((_fit_heads(context, extracted, screened), extracted))
    chosen, extracted = max(done, key=lambda found: found[0].val_score.value)
    run = chosen.run
    folder = context.folder / run.folder
    predict = predict_joined(
        context.dataset, extracted.backbone, folder, run.weights, context.device
    )
    tested = context.test_run("transfer", run, predict)
    used = next(head.views for head in chosen.heads if head.run == run.folder)
    crossed = cross_backbones(context, [extracted for _, extracted in done])
    swept = sweep_heads(context, extracted, used, deadline)
    tuned, retested = _tune(context, extracted, run, tested["test"], deadline)
    advice = _advise(context, chosen)
    context.reporter.say(advice)
    kept = tuned is not None and tuned.kept
    model = f"{chosen.name}, fine-tuned" if kept else f"{chosen.name} + {run.model} head"
    return TransferStep(
        backbones=tuple(record for record, _ in done),
        screened=screened,
        folds=crossed,
        head_sweep=swept,
        tuned=tuned,
        advice=advice,
        **(retested if kept else tested) | {"model": model},
    )


def _extract(context: Context, plan: TransferPlan, backbone: Backbone) -> Extracted:
    """Return a backbone with the features of the images, and of the training ones in each view."""
    rows = open_rows(context, "transfer", plan.share, context.settings.seed)
    every = list_extracted(context, plan.share) if plan.share < 1 else None

    def extract(view: View) -> Features:
        note = f", view {view.number}" if view.number else ""
        show = watch_images(context, backbone, note)
        own = rows.train if view.number else every
        return extract_features(context.dataset, backbone, find_resources(context), show, view, own)

    plain, *others = find_views(context)
    found = extract(plain)
    if every is not None:
        found = replace(found, vectors=found.vectors.place(every, len(context.dataset)))
    return Extracted(backbone, rows, found, tuple((view, extract(view)) for view in others))


def _fit_heads(
    context: Context, extracted: Extracted, screened: Sequence[ScreenRecord]
) -> BackboneRecord:
    """Fit all heads on one backbone's features, with ever more views.

    What was screened at the same resolution was the first part of its features.
    """
    backbone = extracted.backbone
    cells = [
        HeadCell(extracted, head, count)
        for count in range(len(extracted.views) + 1)
        for head in plan_heads(context.settings)
    ]
    runs = [(context.train(cell), cell.views) for cell in cells]
    run, _ = max(runs, key=lambda one: one[0].val_score.value)
    own = (backbone.name, backbone.image_size)
    took: list[Features | ScreenRecord] = [
        one for one in screened if own == (one.name, one.image_size)
    ]
    took += [extracted.plain, *(found for _, found in extracted.views)]
    return BackboneRecord(
        name=backbone.name,
        source=backbone.source,
        license=backbone.license,
        parameters=backbone.parameters,
        features=backbone.features,
        image_size=backbone.image_size,
        engine=extracted.plain.engine,
        extraction_seconds=sum(one.seconds for one in took),
        images_computed=sum(one.computed for one in took),
        head_parameters=run.parameters,
        val_score=run.val_score,
        heads=tuple(
            HeadRecord(
                kind="logistic" if one.model == "logistic" else "dense",
                views=count,
                parameters=one.parameters,
                seconds=one.seconds,
                val_score=one.val_score,
                run=one.folder,
            )
            for one, count in runs
        ),
        run=run,
    )


def _tune(
    context: Context,
    extracted: Extracted,
    frozen: RunRecord,
    before: TestRecord,
    deadline: Deadline,
) -> tuple[TunedRecord | None, dict[str, Any]]:
    """Let the backbone go on learning from its best head, where the user asked for it.

    Its epochs are those that fit the time; it is left out where none does. Returned are its record
    and the fields of a step whose model it is.
    """
    settings = plan_tuning(context.settings)
    if settings.depth == "none":
        return None, {}
    depth: Literal["last", "all"] = settings.depth
    folder, rows = context.folder / frozen.folder, extracted.rows

    def prepare(epochs: int) -> TuneCell:
        own = settings.model_copy(update={"epochs": epochs})
        dataset, task = prepare_tuning(
            context.dataset, extracted.backbone, folder, frozen.weights, own, context.device
        )
        return TuneCell(f"{extracted.label}-tuned-{depth}", task, dataset, rows)

    def choose_epochs() -> int:
        if deadline.given is None:
            return settings.epochs
        cell = prepare(settings.epochs)
        pace = measure_task(cell.dataset, rows.train, cell.task)
        epoch = pace * (len(rows.train) + PASS * len(rows.watch))
        fits = max(0, min(settings.epochs, int(CAREFUL * (deadline.left() - FINISH) / epoch)))
        said = f"{say_seconds(epoch)} an epoch, {fits} of {settings.epochs} fit"
        context.reporter.advance(0, f"fine-tuning: {said}")
        return fits

    epochs = context.decide("transfer", f"tuned-{frozen.cell}", int, choose_epochs)
    if not epochs:
        context.reporter.say("fine-tuning: left out, no epoch of it fits the time")
        return None, {}
    run = context.train(prepare(epochs))
    tested = context.test_run("transfer", run, kind="fine-tuned")
    files = {"frozen": folder, "tuned": context.folder / run.folder}
    correct, groups = read_correct({name: path / PREDICTIONS for name, path in files.items()})
    names = {"frozen": "the frozen head", "tuned": "the fine-tuned network"}
    (comparison,) = compare_pairs(correct, names, say_comparison, groups=groups)
    record = TunedRecord(
        depth=depth,
        run=run,
        frozen=frozen,
        frozen_score=before.score,
        score=tested["test_score"],
        comparison=comparison,
        kept=run.val_score.value > frozen.val_score.value,
    )
    return record, tested


def _advise(context: Context, chosen: BackboneRecord) -> str:
    advice = f"The weights of {chosen.name} ({chosen.source}) are under licence {chosen.license}."
    if context.settings.transfer.backbones:
        return advice
    others = len(list_here()) - 1
    if others:
        return f"{advice} --backbone auto compares it with what is cached here ({others} more)."
    return (
        f"{advice} Larger backbones may do better: 'tellapart fetch --backbone {LARGER}' brings "
        "one where there is a network, and --backbone auto compares those that are here."
    )


STEP = Step(
    run=run_transfer, plan=plan_transfer, plan_kind=TransferPlan, weight=14, check=check_backbones
)
