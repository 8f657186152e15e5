"""Step 6: a head on the features of frozen pretrained backbones."""

from __future__ import annotations

from pathlib import Path

from tellapart.config import HeadSettings
from tellapart.device import choose_device, choose_precision
from tellapart.evaluate import Look, evaluate_model
from tellapart.models.backbone import EMBEDDED, Backbone, find_default, make_backbone
from tellapart.plan import plan_head
from tellapart.records import (
    BackboneRecord,
    BaselineStep,
    ModelStep,
    RunRecord,
    SearchStep,
    TransferStep,
)
from tellapart.report.plots import draw_run, draw_step
from tellapart.study.answers import answer_transfer
from tellapart.study.bench import Bench
from tellapart.study.tested import describe_model
from tellapart.transfer.features import Features, extract_features
from tellapart.transfer.head import fit_head, load_head, predict_head, write_head_args
from tellapart.workspace import read_record, write_json


def name_backbones(bench: Bench) -> tuple[str, ...]:
    """Return the backbones of step 6: those named, else a cached one, else the embedded one."""
    return bench.settings.transfer.backbones or (find_default(),)


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
    description = describe_model(run, test) | {"model": f"{chosen.name} + head"}
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
    device = choose_device(bench.settings.device)
    cell = bench.name_cell(label, head, backbone.key, device.type, choose_precision(device))
    folder = bench.folder / "transfer" / cell
    shown = 0

    def show(done: int, total: int) -> None:
        nonlocal shown
        bench.reporter.advance(done - shown, f"{label}: features of {done:,} of {total:,} images")
        shown = done

    features = extract_features(bench.dataset, backbone, bench.settings.device, show)
    if features.computed:
        bench.keep_time("transfer", f"features of {label}", features.seconds)
    path = folder / "backbone.json"
    if path.is_file():
        bench.reporter.skip(head.epochs, f"{label}: head read")
        return read_record(path, BackboneRecord), backbone, features
    run = _fit_once(bench, name, backbone, features, head, folder)
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
    return record, backbone, features


def _fit_once(
    bench: Bench,
    name: str,
    backbone: Backbone,
    features: Features,
    head: HeadSettings,
    folder: Path,
) -> RunRecord:
    """Fit a head, or read it where it was fitted before."""
    path = folder / "record.json"
    if path.is_file():
        return read_record(path, RunRecord)
    rows, labels = bench.open_rows("transfer"), bench.dataset.labels
    show = bench.watch(f"{backbone.name} head")
    run = fit_head(features.vectors, labels, rows, head, folder, show)
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
    bench.keep_time("transfer", folder.name, run.seconds)
    write_json(path, run)  # last of all: it says that this head is done
    return run


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
