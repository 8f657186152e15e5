"""Step 6: heads on the features of frozen pretrained backbones."""

from __future__ import annotations

from collections.abc import Sequence

from tellapart.evaluate import Look, evaluate_model
from tellapart.models.backbone import Backbone, list_here
from tellapart.plan import plan_tuning
from tellapart.records import (
    BackboneRecord,
    BaselineStep,
    HeadRecord,
    ModelStep,
    RunRecord,
    ScreenRecord,
    SearchStep,
    TransferStep,
)
from tellapart.report.plots import draw_run, draw_step
from tellapart.study.answers import answer_transfer
from tellapart.study.bench import Bench
from tellapart.study.candidates import (
    AUTO,
    CONFIRMED,
    Work,
    choose_backbones,
    count_screened,
    find_means,
    make_work,
    name_backbones,
    name_part,
    watch_images,
)
from tellapart.study.folds import count_folds, cross_backbones
from tellapart.study.heads import Extracted, count_sweep, fit_once, sweep_heads
from tellapart.study.tested import describe_model
from tellapart.study.tuning import Frozen, tune_best
from tellapart.transfer.features import Features, extract_features
from tellapart.transfer.head import load_head, predict_head
from tellapart.transfer.views import View

LARGER = "efficientnet_b0.ra4_e3600_r224_in1k"


def run_transfer(bench: Bench) -> TransferStep:
    """Step 6: what does a pretrained backbone add?"""
    names, work = name_backbones(bench), make_work(bench)
    auto = AUTO in bench.settings.transfer.backbones
    count = min(CONFIRMED, len(names)) if auto else len(names)
    units = count * work.count_units() + count_sweep(bench) + count_folds(work, count)
    tuning = plan_tuning(bench.settings)
    units += tuning.epochs if tuning.depth != "none" else 0
    bench.reporter.begin("transfer", units)
    bench.reporter.expect(count_screened(work, names) + units)
    backbones, screened = choose_backbones(work, names)
    bench.reporter.expect(units)
    done = [_transfer_one(work, name, backbone, screened) for name, backbone in backbones]
    chosen, extracted = max(done, key=lambda found: found[0].val_accuracy.value)
    run = chosen.run
    folder = bench.folder / run.folder
    network = load_head(folder, extracted.backbone.key, run.weights)
    test = evaluate_model(
        bench.seal,
        Look("transfer", run.cell, "final model of step transfer"),
        lambda rows: predict_head(network, extracted.plain.vectors, rows),
        folder,
        optimistic=bench.notebook,
    )
    draw_run(run, test, bench.dataset.classes, folder)
    views = next(head.views for head in chosen.heads if head.run == run.folder)
    crossed = cross_backbones(work, [extracted for _, extracted in done])
    swept = sweep_heads(work, extracted, views)
    found = tune_best(bench, work.rows, Frozen(extracted.backbone, run, test))
    tuned = None if found is None else found[0]
    scratch = bench.read_step("search", SearchStep) or bench.read_step("baseline", BaselineStep)
    assert scratch is None or isinstance(scratch, ModelStep)
    description = describe_model(run, test) | {"model": f"{chosen.name} + {run.model} head"}
    advice = _advise(bench, chosen)
    bench.reporter.say(advice)
    final = test
    if found is not None and found[0].kept:
        final = found[1]
        description = describe_model(found[0].run, final)
        description |= {"model": f"{chosen.name}, fine-tuned"}
    record = TransferStep(
        backbones=tuple(record for record, _ in done),
        screened=screened,
        folds=crossed,
        head_sweep=swept,
        tuned=tuned,
        advice=advice,
        answer=answer_transfer((chosen, tuned), len(done) - 1, (test, final), scratch),
        **description,
    )
    draw_step(record, bench.folder / "transfer")
    return record


def _transfer_one(
    work: Work, name: str, backbone: Backbone, screened: Sequence[ScreenRecord]
) -> tuple[BackboneRecord, Extracted]:
    """Fit all heads on one backbone's features, with ever more views.

    What was screened at the same resolution was the first part of its features.
    """
    before = sum(
        one.computed
        for one in screened
        if (one.name, one.image_size) == (backbone.name, backbone.image_size)
    )
    found = [_extract(work, backbone, view) for view in work.views]
    extracted = Extracted(name, backbone, found[0], tuple(found[1:]))
    runs: list[tuple[RunRecord, int]] = [
        (fit_once(work, extracted, head, count), count)
        for count in range(len(work.views))
        for head in work.heads
    ]
    run, _ = max(runs, key=lambda one: one[0].val_accuracy.value)
    record = BackboneRecord(
        name=backbone.name,
        source=backbone.source,
        license=backbone.license,
        parameters=backbone.parameters,
        features=backbone.features,
        image_size=backbone.image_size,
        engine=extracted.plain.engine,
        extraction_seconds=work.bench.clock.read_part("transfer", name_part(backbone)),
        images_computed=before + sum(part.computed for part in found),
        head_parameters=run.parameters,
        val_accuracy=run.val_accuracy,
        heads=tuple(
            HeadRecord(
                kind="logistic" if one.model == "logistic" else "dense",
                views=count,
                parameters=one.parameters,
                seconds=one.seconds,
                val_accuracy=one.val_accuracy,
                run=one.folder,
            )
            for one, count in runs
        ),
        run=run,
    )
    return record, extracted


def _extract(work: Work, backbone: Backbone, view: View) -> Features:
    """Return the features of all images, or in an augmented view of the training images."""
    bench = work.bench
    show = watch_images(bench, backbone, f", view {view.number}" if view.number else "")
    rows = work.rows.train if view.number else None
    means = find_means(bench.settings)
    features = extract_features(bench.dataset, backbone, means, show, view, rows)
    if features.computed:
        bench.clock.add("transfer", name_part(backbone), features.seconds)
    return features


def _advise(bench: Bench, chosen: BackboneRecord) -> str:
    advice = f"The weights of {chosen.name} ({chosen.source}) are under licence {chosen.license}."
    if bench.settings.transfer.backbones:
        return advice
    others = len(list_here()) - 1
    if others:
        return f"{advice} --backbone auto compares it with what is cached here ({others} more)."
    return (
        f"{advice} Larger backbones may do better: 'tellapart fetch --backbone {LARGER}' brings "
        "one where there is a network, and --backbone auto compares those that are here."
    )
