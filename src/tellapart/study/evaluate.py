"""A finished model evaluated again, on val or, which the ledger counts, on test."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal

from tellapart import __version__
from tellapart.data.dataset import Dataset
from tellapart.data.split import read_split
from tellapart.device import DeviceName
from tellapart.errors import BackboneError, DataError, SettingError
from tellapart.evaluate import Look, Predict, Seal, predict_run, score_rows
from tellapart.lock import lock_folder
from tellapart.models.backbone import Backbone, make_backbone, resize_backbone
from tellapart.records import EvaluatedModel, EvaluationRecord, Identity, StudyRecord
from tellapart.report.page import write_report
from tellapart.report.wording import say_estimate
from tellapart.study.compare import Found, find_models
from tellapart.study.heads import predict_joined
from tellapart.train.checkpoint import ARGS
from tellapart.transfer.head import HeadArgs
from tellapart.workspace import IDENTITY, read_record, write_json

SplitName = Literal["val", "test"]


def evaluate_run(
    dataset: Dataset,
    folder: str | Path,
    split: SplitName = "val",
    device: DeviceName = "auto",
    backbone: str | None = None,
) -> EvaluationRecord:
    """Evaluate again a study's models, or at one of its steps', on one split.

    A look at test is written to the study's ledger as one beyond its own before it happens, and
    its results and report say so from then on.

    Args:
        dataset: the images that the study had.
        folder: of a finished study, or of one of its steps.
        backbone: where that of a transfer step lies now, if it came from a folder.

    Raises:
        WorkspaceError: the folder is neither, is unfinished or at work, or a file was altered.
        DataError: these are other images, or another backbone.
        SettingError: val of a study that trained on those images too (protocol notebook).
    """
    found = find_models(folder)
    if not found:
        raise DataError(f"evaluate needs a tested model, but {folder} has none; train one first")
    study = found[0].study
    if read_record(study / IDENTITY, Identity).fingerprint != dataset.fingerprint:
        raise DataError(
            f"{study} is of other images than {dataset.name} (their fingerprints differ); give "
            "the data that it was trained on"
        )
    if split == "val" and any(one.record.run.chosen_on == "test" for one in found):
        raise SettingError(
            f"{study} has the notebook protocol, which trains on the val images too, so that its "
            "models cannot be evaluated on val; use --split test"
        )
    division = read_split(study / "split.json", dataset)
    seal = Seal(dataset, division, study)
    models = []
    with lock_folder(study):
        for one in found:
            predict = _find_predict(dataset, one, device, backbone)
            look = None
            rows = division.val
            if split == "test":
                purpose = "evaluate, beyond the study"
                asked = Look(one.step, one.record.run.cell, purpose, beyond=True)
                rows, look = seal.open_test(asked)
            score, loss = score_rows(dataset, rows, predict, one.record.run.metric)
            models.append(
                EvaluatedModel(
                    step=one.step,
                    model=one.record.model,
                    score=score,
                    loss=loss,
                    look=look,
                    optimistic=one.record.run.chosen_on == "test",
                )
            )
        if split == "test" and (study / "results.json").is_file():
            record = read_record(study / "results.json", StudyRecord)
            record = record.model_copy(update={"ledger": seal.read_ledger()})
            write_json(study / "results.json", record)
            write_report(study)
    beyond = sum(entry.beyond for entry in seal.read_ledger())
    return EvaluationRecord(
        version=__version__, data=dataset.name, split=split, models=tuple(models), beyond=beyond
    )


def _find_predict(
    dataset: Dataset, one: Found, device: DeviceName, backbone: str | None
) -> Predict:
    folder = one.study / one.record.run.folder
    if read_record(folder / ARGS, dict[str, Any]).get("kind") != "head":
        return predict_run(dataset, folder, device, one.record.run)
    args = read_record(folder / ARGS, HeadArgs)
    body = resize_backbone(_find_backbone(folder, args.backbone, backbone), args.image_size)
    return predict_joined(dataset, body, folder, one.record.run.weights, device)


def _find_backbone(folder: Path, name: str, given: str | None) -> Backbone:
    """Return the backbone of a head: the one that the user gave, else the one that it names.

    The folder may be a stranger's: what it names makes no request and opens no other file.

    Raises:
        BackboneError: none was given, and what the head names is not cached.
    """
    if given is not None:
        return make_backbone(given)
    try:
        return make_backbone(name, fetch=False)
    except BackboneError as error:
        raise BackboneError(
            f"the head in {folder} needs backbone {name}, which is not cached here; "
            f"say where it is with --backbone local-dir:FOLDER, or fetch it with --backbone {name}"
        ) from error


def describe_evaluation(record: EvaluationRecord) -> str:
    """Return what a person reads: a line a model, and what the looks at test come to."""
    wide = max(len(model.step) for model in record.models)
    lines = [
        f"{model.step:<{wide}}  {record.split} {say_estimate(model.score)}  {model.model}"
        + ("" if model.look is None else f"  look {model.look} at test")
        + ("  (optimistic: its epoch was chosen on these images)" if model.optimistic else "")
        for model in record.models
    ]
    if record.split == "test":
        looks = "1 look" if record.beyond == 1 else f"{record.beyond} looks"
        lines.append(
            f"The ledger now has {looks} at test beyond the study's own, and the report marks "
            "them. Each choice that follows from one makes the test figures mean less."
        )
    return "\n".join(lines)
