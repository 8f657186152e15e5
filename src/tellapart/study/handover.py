"""The best model leaves its study: one network, calibrated, with some of what it was trained on."""

from __future__ import annotations

import csv
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tellapart import __version__
from tellapart.audit import describe_data
from tellapart.data.dataset import Dataset, Indices, resize_dataset
from tellapart.data.decode import FAINT
from tellapart.evaluate import PREDICTIONS
from tellapart.metrics.selective import fit_temperature, list_surest
from tellapart.models.network import NetworkSettings
from tellapart.predict.folder import ARGS as MODEL_ARGS
from tellapart.predict.folder import REFERENCE, WEIGHTS
from tellapart.predict.network import PixelClassifier, describe_network, save_weights
from tellapart.predict.predictor import Predictor, make_predictor
from tellapart.predict.reference import (
    CHECKED,
    FALSE_ALARMS,
    MOST,
    SIDE,
    Reference,
    mark_hash,
    scale_features,
    shrink_pictures,
    write_reference,
)
from tellapart.records import (
    InspectStep,
    ModelStep,
    PredictorArgs,
    Preprocessed,
    Surest,
    TransferStep,
)
from tellapart.report.card import write_card
from tellapart.study.backbones import find_backbone
from tellapart.study.compare import list_models, rank_models
from tellapart.study.context import Context
from tellapart.study.heads import LEAST_SHARE
from tellapart.train.checkpoint import ARGS, load_model
from tellapart.transfer.head import HeadArgs
from tellapart.transfer.tune import join_head
from tellapart.workspace import read_json, read_record, write_json, write_text

CARD = "README.md"
COLOURED = 100
"""Training images by which it is told whether they are in colour."""
VALIDATED = 2000
"""Images of val that a model is calibrated on, at most."""
LEAST_TESTED = 50
"""Test images from which on a risk-coverage curve is worth its name."""

Logits = NDArray[np.float32]


@dataclass(frozen=True)
class Chosen:
    """The model that leaves a study: of a step, with all that builds it."""

    step: str
    record: ModelStep
    settings: NetworkSettings
    network: Any
    mirrored: bool
    license: str
    dataset: Dataset

    @property
    def preprocessing(self) -> Preprocessed:
        """What becomes of an image before the network."""
        tone = self.dataset.source.tone
        return Preprocessed(
            image_size=self.dataset.image_size,
            channels=3 if self.dataset.channels == 3 else 1,
            black=tone.low,
            white=tone.high,
            eight=tone.eight,
            ground=tone.ground,
            mirrored=self.mirrored,
        )


@dataclass(frozen=True)
class Handed:
    """A model in its folder, ready to classify, and what its study knows of it.

    ``logits`` (n, classes) of the ``tested`` rows are those before it was calibrated.
    """

    args: PredictorArgs
    predictor: Predictor
    tested: Indices
    logits: Logits
    reference: Indices


def choose_model(context: Context) -> tuple[str, ModelStep]:
    """Return the step, and its record, whose model is the study's choice on val."""
    models = list_models(context)
    ranking = rank_models(context)
    name = ranking.cheapest if ranking else next(iter(models))
    return name, models[name]


def build_chosen(context: Context, name: str, record: ModelStep) -> Chosen:
    """Return the model of a step as one network."""
    run = record.run
    folder = context.folder / run.folder
    rows = record.backbones if isinstance(record, TransferStep) else ()
    licenses = {row.name: row.license for row in rows}
    if read_json(folder / ARGS).get("kind") == "head":
        args = read_record(folder / ARGS, HeadArgs)
        backbone = find_backbone(context, args.backbone, args.image_size, args.backbone_key)
        settings, joined = join_head(backbone, folder, run.weights)
        seen = resize_dataset(context.dataset, args.image_size)
        return Chosen(name, record, settings, joined, False, licenses[args.backbone], seen)
    network, own = load_model(folder, run.weights)
    seen = resize_dataset(context.dataset, own.preprocessing.image_size)
    license = licenses.get(str(own.model.describe().get("backbone")), "")
    return Chosen(name, record, own.model, network, own.recipe.mirrors, license, seen)


def hand_over(context: Context, chosen: Chosen, folder: Path) -> Handed:
    """Calibrate a model on val, keep some images of it, and write its folder.

    Where val was trained on (protocol notebook), nothing is calibrated, promised or flagged.
    """
    dataset, record = chosen.dataset, chosen.record
    rows, honest = context.seal.open_rows(context.protocol, chosen.step), not record.test.optimistic
    known = draw_rows(rows.train, MOST, context.settings.seed)
    network = PixelClassifier(chosen.network, 1.0, chosen.mirrored)
    args = _describe(context, chosen)
    predictor = make_predictor(args, network, device=context.device)
    _, kept = _classify(context, predictor, dataset, known)
    tested, logits = read_tested(context.folder / record.run.folder / PREDICTIONS, dataset)
    watched = draw_rows(rows.watch, VALIDATED, context.settings.seed) if honest else known[:0]
    checked = draw_rows(watched, CHECKED, context.settings.seed)
    reference = Reference(
        scale_features(kept),
        dataset.labels[known],
        _take_pictures(dataset, known, SIDE),
        dataset.labels[checked],
        _take_pictures(dataset, checked, dataset.image_size),
        frozenset(mark_hash(dataset.hashes[row]) for row in (*rows.train, *rows.watch)),
    )
    if honest:
        shares, features = _classify(context, predictor, dataset, watched)
        network.temperature = fit_temperature(
            np.log(np.maximum(shares, LEAST_SHARE)), dataset.labels[watched]
        )
        far = reference.measure(features)
        unlike = float(np.quantile(far, 1 - FALSE_ALARMS, method="higher"))
        surest = curve_tested(context, tested, logits, network.temperature)
        args = args.model_copy(
            update={
                "temperature": network.temperature,
                "unlike": unlike,
                "false_alarms": float((far > unlike).mean()),
                "surest": surest,
                "tested": surest[-1].count if surest else 0,
            }
        )
    (folder / MODEL_ARGS).unlink(missing_ok=True)  # a folder with it is whole
    files = {
        WEIGHTS: save_weights(folder, chosen.network),
        REFERENCE: write_reference(folder, reference),
    }
    args = args.model_copy(update={"files": files})
    write_text(folder / CARD, _write_card(context, chosen, args))
    write_json(folder / MODEL_ARGS, args)
    return Handed(
        args, make_predictor(args, network, reference, context.device), tested, logits, known
    )


def _take_pictures(dataset: Dataset, rows: Indices, side: int) -> tuple[bytes, ...]:
    return tuple(
        one
        for first in range(0, len(rows), 256)
        for one in shrink_pictures(dataset.source.read(rows[first : first + 256]), side)
    )


def draw_rows(rows: Indices, most: int, seed: int) -> Indices:
    """Return up to ``most`` of some rows, drawn at random, sorted."""
    if len(rows) <= most:
        return rows
    return np.sort(np.random.default_rng(seed).choice(rows, most, replace=False))


def read_tested(path: Path, dataset: Dataset) -> tuple[Indices, Logits]:
    """Return the rows of a file of predictions, and their log-probabilities (n, classes)."""
    with open(path, newline="", encoding="utf-8") as stream:
        lines = list(csv.DictReader(stream))
    rows = np.array([int(line["row"]) for line in lines], np.int64)
    shares = [[float(line[f"p({name})"]) for name in dataset.classes] for line in lines]
    return rows, np.log(np.maximum(np.array(shares, np.float32), LEAST_SHARE))


def curve_tested(
    context: Context, rows: Indices, logits: Logits, temperature: float
) -> tuple[Surest, ...]:
    """Return the risk-coverage curve on test: an image a group, and none whose twin train has."""
    dataset = context.dataset
    groups = dataset.groups[rows]
    order = np.random.default_rng(context.settings.seed).permutation(len(rows))
    alone = np.zeros(len(rows), bool)
    alone[order[np.unique(groups[order], return_index=True)[1]]] = True
    alone &= ~np.isin(groups, dataset.groups[context.seal.split.train])
    if alone.sum() < LEAST_TESTED:
        return ()
    probabilities = soften(logits[alone], temperature)
    right = probabilities.argmax(1) == dataset.labels[rows[alone]]
    return list_surest(probabilities.max(1).astype(np.float64), right)


def soften(logits: Logits, temperature: float) -> Logits:
    """Return the probabilities of logits at a temperature."""
    scaled = logits / temperature
    shares = np.exp(scaled - scaled.max(1, keepdims=True))
    found: Logits = shares / shares.sum(1, keepdims=True)
    return found


def _write_card(context: Context, chosen: Chosen, args: PredictorArgs) -> str:
    done = context.done.get("inspect")
    findings = done.findings if isinstance(done, InspectStep) else None
    data = describe_data(context.dataset, context.seal.split)
    return write_card(args, chosen.record, data, findings)


def _describe(context: Context, chosen: Chosen) -> PredictorArgs:
    record, data = chosen.record, context.dataset
    return PredictorArgs(
        version=__version__,
        name=record.model,
        study=context.folder.name,
        step=chosen.step,
        data=data.name,
        fingerprint=data.fingerprint,
        classes=data.classes,
        preprocessing=chosen.preprocessing,
        network=describe_network(chosen.settings),
        license=chosen.license,
        colour=_has_colour(chosen.dataset, context.seal.split.train),
        temperature=1.0,
        metric=record.test.metric,
        score=record.test.score,
        accuracy=record.test.scores["accuracy"],
        effective=record.test.effective,
        optimistic=record.test.optimistic,
    )


def _has_colour(dataset: Dataset, rows: Indices) -> bool:
    """Tell whether some of the training images are in colour."""
    seen = dataset.source.read(draw_rows(rows, COLOURED, 0))
    return bool(np.ptp(seen, axis=3).max() > FAINT)


def _classify(
    context: Context, predictor: Predictor, dataset: Dataset, rows: Indices
) -> tuple[Logits, Logits]:
    """Return probabilities and features of rows of a dataset."""
    found = predictor.classify_rows(dataset, rows)
    context.reporter.advance(1, f"classified {len(rows):,} images")
    return found
