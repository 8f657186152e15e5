"""What does a pretrained backbone add?"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Literal

import numpy as np

from tellapart.evaluate import PREDICTIONS, Look, evaluate_model, predict_run, read_correct
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
from tellapart.report.plots import draw_run
from tellapart.report.wording import say_comparison, say_seconds
from tellapart.study.backbones import (
    check_backbones,
    choose_backbones,
    find_resources,
    find_views,
    open_shared_rows,
    plan_transfer,
    watch_images,
)
from tellapart.study.context import PASS, Context
from tellapart.study.deadline import CAREFUL, FINISH, Deadline
from tellapart.study.heads import Extracted, HeadCell, TuneCell, cross_backbones, sweep_heads
from tellapart.study.rules import plan_heads, plan_tuning
from tellapart.study.steps.step import Step
from tellapart.train.pace import measure_task
from tellapart.transfer.features import Features, extract_features
from tellapart.transfer.head import load_head, predict_head
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
    done = [
        _fit_heads(context, _extract(context, plan, name, backbone), screened)
        for name, backbone in backbones
    ]
    chosen, extracted = max(done, key=lambda found: found[0].val_score.value)
    test = _test_head(context, extracted, chosen.run)
    used = next(head.views for head in chosen.heads if head.run == chosen.run.folder)
    crossed = cross_backbones(context, [extracted for _, extracted in done])
    swept = sweep_heads(context, extracted, used, deadline)
    tuned = _tune(context, extracted, chosen.run, test, deadline)
    advice = _advise(context, chosen)
    context.reporter.say(advice)
    described = context.describe_model(chosen.run, test)
    described |= {"model": f"{chosen.name} + {chosen.run.model} head"}
    if tuned is not None and tuned[0].kept:
        described = context.describe_model(tuned[0].run, tuned[1])
        described |= {"model": f"{chosen.name}, fine-tuned"}
    return TransferStep(
        backbones=tuple(record for record, _ in done),
        screened=screened,
        folds=crossed,
        head_sweep=swept,
        tuned=None if tuned is None else tuned[0],
        advice=advice,
        **described,
    )


def _extract(context: Context, plan: TransferPlan, name: str, backbone: Backbone) -> Extracted:
    """Return a backbone with the features of the images, and of the training ones in each view."""
    rows, split = open_shared_rows(context, plan.share), context.seal.split
    every = None
    if plan.share < 1:
        kept = np.isin(split.train, rows.train)
        every = np.setdiff1d(np.arange(len(context.dataset)), split.train[~kept])

    def extract(view: View) -> Features:
        note = f", view {view.number}" if view.number else ""
        show = watch_images(context, backbone, note)
        own = rows.train if view.number else every
        return extract_features(context.dataset, backbone, find_resources(context), show, view, own)

    plain, *others = find_views(context)
    found = extract(plain)
    if every is not None:
        table = found.vectors.place(every, len(context.dataset))
        found = replace(found, vectors=table)
    return Extracted(name, backbone, rows, found, tuple((view, extract(view)) for view in others))


def _fit_heads(
    context: Context, extracted: Extracted, screened: Sequence[ScreenRecord]
) -> tuple[BackboneRecord, Extracted]:
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
    same = [
        one
        for one in screened
        if (one.name, one.image_size) == (backbone.name, backbone.image_size)
    ]
    every = [extracted.plain, *(found for _, found in extracted.views)]
    seconds = sum(one.seconds for one in every) + sum(one.seconds for one in same)
    computed = sum(one.computed for one in every) + sum(one.computed for one in same)
    record = BackboneRecord(
        name=backbone.name,
        source=backbone.source,
        license=backbone.license,
        parameters=backbone.parameters,
        features=backbone.features,
        image_size=backbone.image_size,
        engine=extracted.plain.engine,
        extraction_seconds=seconds,
        images_computed=computed,
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
    return record, extracted


def _test_head(context: Context, extracted: Extracted, run: RunRecord) -> TestRecord:
    folder = context.folder / run.folder
    network = load_head(folder, extracted.backbone.key, run.weights)
    test = evaluate_model(
        context.seal,
        Look("transfer", run.cell, "final model of step transfer"),
        lambda rows: predict_head(network, extracted.plain.vectors, rows),
        folder,
        context.metric,
    )
    draw_run(run, test, context.dataset.classes, folder)
    return test


def _tune(
    context: Context,
    extracted: Extracted,
    frozen: RunRecord,
    before: TestRecord,
    deadline: Deadline,
) -> tuple[TunedRecord, TestRecord] | None:
    """Let the backbone go on learning from its best head, where the user asked for it.

    Its epochs are those that fit the time; it is left out where none does.
    """
    settings = plan_tuning(context.settings)
    if settings.depth == "none":
        return None
    depth: Literal["last", "all"] = settings.depth
    folder, rows = context.folder / frozen.folder, extracted.rows

    def prepare(epochs: int) -> TuneCell:
        own = settings.model_copy(update={"epochs": epochs})
        dataset, task = prepare_tuning(
            context.dataset, extracted.backbone, folder, frozen.weights, own, context.device
        )
        return TuneCell(f"{extracted.label}-tuned-{depth}", task, dataset, rows)

    def choose_epochs() -> int:
        if deadline.left() == float("inf"):
            return settings.epochs
        cell = prepare(settings.epochs)
        pace = measure_task(cell.dataset, rows.train, cell.task)
        epoch = pace * (len(rows.train) + PASS * len(rows.watch))
        fits = int(CAREFUL * (deadline.left() - FINISH) / epoch)
        said = f"fine-tuning: {say_seconds(epoch)} an epoch"
        context.reporter.advance(
            0, f"{said}, {min(fits, settings.epochs)} of {settings.epochs} fit"
        )
        return max(0, min(settings.epochs, fits))

    epochs = context.decide("transfer", f"tuned-{frozen.cell}", int, choose_epochs)
    if not epochs:
        context.reporter.say("fine-tuning: left out, no epoch of it fits the time")
        return None
    run = context.train(prepare(epochs))
    own = context.folder / run.folder
    test = evaluate_model(
        context.seal,
        Look("transfer", run.cell, "fine-tuned model of step transfer"),
        predict_run(context.dataset, own, context.device, run),
        own,
        context.metric,
    )
    draw_run(run, test, context.dataset.classes, own)
    correct = read_correct({"frozen": folder / PREDICTIONS, "tuned": own / PREDICTIONS})
    names = {"frozen": "the frozen head", "tuned": "the fine-tuned network"}
    (comparison,) = compare_pairs(correct, names, say_comparison)
    record = TunedRecord(
        depth=depth,
        run=run,
        frozen=frozen,
        frozen_score=before.score,
        score=test.score,
        comparison=comparison,
        kept=run.val_score.value > frozen.val_score.value,
    )
    return record, test


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
