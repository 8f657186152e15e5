"""Step 6: heads on the features of frozen pretrained backbones."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial

from tellapart.config import HeadSettings
from tellapart.device import choose_device, choose_precision
from tellapart.evaluate import Look, evaluate_model
from tellapart.models.backbone import (
    EMBEDDED,
    Backbone,
)
from tellapart.records import (
    BackboneRecord,
    BaselineStep,
    HeadRecord,
    ModelStep,
    RunRecord,
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
    make_work,
    name_backbones,
)
from tellapart.study.tested import describe_model
from tellapart.transfer.features import Features, extract_features
from tellapart.transfer.head import Examples, fit_head, load_head, predict_head, write_head_args
from tellapart.transfer.logistic import fit_logistic
from tellapart.transfer.views import View
from tellapart.workspace import read_record, write_json


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


def run_transfer(bench: Bench) -> TransferStep:
    """Step 6: what does a pretrained backbone add?"""
    names, work = name_backbones(bench), make_work(bench)
    some = AUTO in bench.settings.transfer.backbones and len(names) > CONFIRMED
    count = CONFIRMED if some else len(names)
    bench.reporter.begin("transfer", count * work.count_units())
    backbones, screened = choose_backbones(work, names, count)
    done = [_transfer_one(work, name, backbone) for name, backbone in backbones]
    chosen, extracted = max(done, key=lambda found: found[0].val_accuracy.value)
    run = chosen.run
    folder = bench.folder / run.folder
    network = load_head(folder, extracted.backbone.key)
    test = evaluate_model(
        bench.seal,
        Look("transfer", run.cell, "final model of step transfer"),
        lambda rows: predict_head(network, extracted.plain.vectors, rows),
        folder,
        optimistic=bench.notebook,
    )
    draw_run(run, test, bench.dataset.classes, folder)
    scratch = bench.read_step("search", SearchStep) or bench.read_step("baseline", BaselineStep)
    assert scratch is None or isinstance(scratch, ModelStep)
    description = describe_model(run, test) | {"model": f"{chosen.name} + {run.model} head"}
    record = TransferStep(
        backbones=tuple(record for record, _ in done),
        screened=screened,
        advice=_advise(bench, chosen),
        answer=answer_transfer(chosen, len(done) - 1, test, scratch),
        **description,
    )
    draw_step(record, bench.folder / "transfer")
    return record


def _transfer_one(work: Work, name: str, backbone: Backbone) -> tuple[BackboneRecord, Extracted]:
    """Fit all heads on one backbone's features, with ever more views."""
    found = [_extract(work, backbone, view) for view in work.views]
    extracted = Extracted(name, backbone, found[0], tuple(found[1:]))
    runs: list[tuple[RunRecord, int]] = [
        (_fit_once(work, extracted, head, count), count)
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
        extraction_seconds=work.bench.clock.read_part("transfer", f"features of {extracted.label}"),
        images_computed=sum(part.computed for part in found),
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
    shown: int | None = None
    label = backbone.name if not view.number else f"{backbone.name}, view {view.number}"

    def show(done: int, total: int) -> None:
        nonlocal shown
        if shown is None:
            bench.reporter.skip(done, f"{label}: {done:,} images read")
        else:
            said = f"{label}: features of {done:,} of {total:,} images"
            bench.reporter.advance(done - shown, said)
        shown = done

    rows = work.rows.train if view.number else None
    device = bench.settings.device
    features = extract_features(bench.dataset, backbone, device, show, view, rows)
    if features.computed:
        part = f"features of {backbone.name.replace('/', '_').replace(':', '_')}"
        bench.clock.add("transfer", part, features.seconds)
    return features


def _fit_once(work: Work, extracted: Extracted, head: HeadSettings, count: int) -> RunRecord:
    """Fit a head on so many views, or read it where it was fitted before."""
    bench = work.bench
    device = choose_device(bench.settings.device)
    label = f"{extracted.label}-{head.kind}" + (f"-views-{count}" if count else "")
    views = work.views[: 1 + count]
    about = (head, extracted.backbone.key, device.type, choose_precision(device))
    cell = bench.name_cell(label, *about, *(view.name for view in views))
    folder = bench.folder / "transfer" / cell
    path = folder / "record.json"
    if path.is_file():
        bench.reporter.skip(head.epochs, f"{label}: read")
        return read_record(path, RunRecord)
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
    write_head_args(
        folder,
        HeadSettings.model_validate(run.settings | {"seed": run.seed}),
        bench.dataset.classes,
        {
            "backbone": name if not name.startswith("local-dir:") else backbone.name,
            "backbone_key": backbone.key,
            "features": backbone.features,
            "image_size": backbone.image_size,
        },
    )
    bench.keep_time("transfer", folder.name, run.seconds)
    write_json(path, run)  # last of all: it says that this head is done
    return run


def _say_penalty(bench: Bench, label: str, said: str) -> None:
    bench.reporter.advance(0, f"{label}: {said}")


def _advise(bench: Bench, chosen: BackboneRecord) -> str:
    if chosen.source != "package":
        return f"Backbone {chosen.name}, weights under licence {chosen.license}."
    advice = (
        "No backbone was named and none is cached, so the small one embedded in tellapart was "
        "used; it has seen CIFAR-10 alone. "
        if not bench.settings.transfer.backbones
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
