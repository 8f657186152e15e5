from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from tellapart.config import HeadSettings
from tellapart.data.dataset import Labels
from tellapart.errors import DataError, NotFinite, TellapartError, WorkspaceError
from tellapart.models import count_parameters
from tellapart.models.layers import Standardize, make_head
from tellapart.train.checkpoint import BEST
from tellapart.train.loop import Rows
from tellapart.transfer.head import (
    Examples,
    HeadArgs,
    fit_head,
    load_head,
    predict_head,
    set_scale,
)
from tellapart.workspace import write_json

Vectors = NDArray[np.float16]
COUNT, WIDTH, CLASSES = 600, 10, 3
ROWS = Rows(np.arange(400), np.arange(400, COUNT))
SETTINGS = HeadSettings(dense=16, epochs=6, batch_size=32, lr=3e-3, seed=1)
ARGS = HeadArgs(
    recipe=SETTINGS,
    classes=("x", "y", "z"),
    backbone="tiny",
    backbone_key="abc",
    features=WIDTH,
    image_size=8,
)


@pytest.fixture(scope="module")
def labels() -> Labels:
    return np.random.default_rng(0).integers(0, CLASSES, COUNT)


@pytest.fixture(scope="module")
def vectors(labels: Labels) -> Vectors:
    """Clusters around three centres, on scales that differ a thousandfold."""
    rng = np.random.default_rng(1)
    centres = rng.normal(0, 3, (CLASSES, WIDTH))
    scales = np.logspace(-1, 2, WIDTH)
    found = (centres[labels] + rng.normal(size=(COUNT, WIDTH))) * scales + 5 * scales
    return found.astype(np.float16)


def test_a_head_learns_what_can_be_told_apart(
    vectors: Vectors, labels: Labels, tmp_path: Path
) -> None:
    run = fit_head(Examples(vectors, labels), ROWS, SETTINGS, tmp_path / "head")
    assert run.val_accuracy.value > 0.95
    assert run.parameters == (WIDTH * 16 + 16) + (16 * CLASSES + CLASSES)
    accuracies = [row.val_accuracy for row in run.history]
    assert run.best_epoch == 1 + int(np.argmax(accuracies))
    text = (tmp_path / "head" / "history.csv").read_text("utf-8")
    assert text.startswith("epoch,seconds,lr,loss,accuracy,val_loss,val_accuracy\n1,")


def test_what_cannot_be_told_apart_is_not_learned(
    vectors: Vectors, labels: Labels, tmp_path: Path
) -> None:
    noise = np.random.default_rng(9).permutation(vectors)
    run = fit_head(Examples(noise, labels), ROWS, SETTINGS, tmp_path / "head")
    assert run.val_accuracy.value < 0.5


def test_the_same_seed_gives_the_same_head(
    vectors: Vectors, labels: Labels, tmp_path: Path
) -> None:
    for name in "ab":
        fit_head(Examples(vectors, labels), ROWS, SETTINGS, tmp_path / name)
    fit_head(
        Examples(vectors, labels), ROWS, SETTINGS.model_copy(update={"seed": 2}), tmp_path / "c"
    )
    first, second, other = (
        (tmp_path / name / "weights" / "best.safetensors").read_bytes() for name in "abc"
    )
    assert first == second != other


def test_a_head_that_finds_nothing_better_ends(
    vectors: Vectors, labels: Labels, tmp_path: Path
) -> None:
    noise = np.random.default_rng(9).permutation(vectors)
    longer = SETTINGS.model_copy(update={"epochs": 40})
    patient = longer.model_copy(update={"patience": 3})
    whole = fit_head(Examples(noise, labels), ROWS, longer, tmp_path / "whole")
    run = fit_head(Examples(noise, labels), ROWS, patient, tmp_path / "head")
    assert len(run.history) == run.best_epoch + 3 < len(whole.history) == 40
    both = zip(run.history, whole.history, strict=False)
    assert all(one.val_accuracy == other.val_accuracy for one, other in both)


def test_a_loaded_head_is_the_best_one_and_belongs_to_its_backbone(
    vectors: Vectors, labels: Labels, tmp_path: Path
) -> None:
    folder = tmp_path / "head"
    run = fit_head(Examples(vectors, labels), ROWS, SETTINGS, folder)
    write_json(folder / "args.json", ARGS)
    network = load_head(folder, "abc", run.weights)
    logits = predict_head(network, vectors, ROWS.watch)
    assert (logits.argmax(1) == labels[ROWS.watch]).mean() == run.val_accuracy.value
    with pytest.raises(DataError, match=r"belongs to backbone tiny \(key abc\).* key abd"):
        load_head(folder, "abd", run.weights)
    path = folder / BEST
    path.write_bytes(path.read_bytes()[:-1] + b"\1")
    with pytest.raises(WorkspaceError, match="altered since it was written"):
        load_head(folder, "abc", run.weights)


@pytest.mark.parametrize("content", ["{}", "[1]", "null", '{"kind": "head"}'])
def test_args_of_another_shape_are_refused(content: str, tmp_path: Path) -> None:
    (tmp_path / "args.json").write_text(content)
    with pytest.raises(WorkspaceError, match=r"args\.json was altered"):
        load_head(tmp_path, "abc", "")


def test_a_head_whose_outputs_are_no_numbers_gives_none(vectors: Vectors) -> None:
    network = make_head(WIDTH, CLASSES, SETTINGS)
    for weights in network.parameters():
        torch.nn.init.constant_(weights, torch.nan)
    with pytest.raises(NotFinite, match="outputs of a head must be finite"):
        predict_head(network, vectors, ROWS.watch)


def test_the_scale_is_that_of_training_rows_alone(vectors: Vectors) -> None:
    wild = vectors.copy()
    wild[ROWS.watch] = 60_000
    wild[:, 4] = 7
    network = make_head(WIDTH, CLASSES, SETTINGS)
    set_scale(network, wild, ROWS.train)
    standardize = network[0]
    assert isinstance(standardize, Standardize)
    train = wild[ROWS.train].astype(np.float64)
    spread = train.std(0)
    expected = np.divide(1, spread, out=np.zeros(WIDTH), where=spread > 0)
    assert standardize.mean.numpy() == pytest.approx(train.mean(0), rel=1e-6)
    assert standardize.scale.numpy() == pytest.approx(expected, rel=1e-4)
    shown = standardize(torch.from_numpy(train).float()).numpy()
    others = np.arange(WIDTH) != 4
    assert shown.mean(0) == pytest.approx(0, abs=1e-4)
    assert shown.std(0)[others] == pytest.approx(1, abs=1e-3)
    assert not shown[:, 4].any()


def test_a_head_keeps_the_scale_that_it_was_trained_with(
    vectors: Vectors, labels: Labels, tmp_path: Path
) -> None:
    folder = tmp_path / "head"
    run = fit_head(Examples(vectors, labels), ROWS, SETTINGS, folder)
    write_json(folder / "args.json", ARGS)
    state = load_head(folder, "abc", run.weights).state_dict()
    mean = vectors[ROWS.train].astype(np.float64).mean(0)
    assert state["0.mean"].numpy() == pytest.approx(mean, rel=1e-6)


def test_without_a_hidden_layer_it_is_linear() -> None:
    network = make_head(WIDTH, CLASSES, HeadSettings(dense=0)).eval()
    assert count_parameters(network) == WIDTH * CLASSES + CLASSES
    a, b = torch.randn(2, 4, WIDTH)
    middle = network((a + b) / 2)
    assert torch.allclose(middle, (network(a) + network(b)) / 2, atol=1e-5)


def test_an_images_logits_do_not_depend_on_its_company(vectors: Vectors) -> None:
    network = make_head(WIDTH, CLASSES, SETTINGS)
    set_scale(network, vectors, ROWS.train)
    everything = predict_head(network, vectors, np.arange(COUNT))
    mixed = np.random.default_rng(0).permutation(COUNT)
    assert predict_head(network, vectors, mixed) == pytest.approx(everything[mixed], abs=1e-5)


@pytest.mark.parametrize("batch_size", [16, 400])
def test_a_loss_that_is_not_finite_stops_and_leaves_nothing(
    batch_size: int, vectors: Vectors, labels: Labels, tmp_path: Path
) -> None:
    settings = HeadSettings(dense=8, epochs=1, lr=1e38, batch_size=batch_size)
    with pytest.raises(TellapartError, match="not finite; use a learning rate below"):
        fit_head(Examples(vectors, labels), ROWS, settings, tmp_path / "head")
    assert not list(tmp_path.rglob("*.*"))


def test_views_have_their_turn_in_the_epochs(
    vectors: Vectors, labels: Labels, tmp_path: Path
) -> None:
    view = (vectors[ROWS.train].astype(np.float32) * 2).astype(np.float16)
    examples = Examples(vectors, labels, (view,))
    places = np.array([5, 2, 399])
    assert np.array_equal(examples.take(ROWS.train, places, 0), vectors[ROWS.train[places]])
    assert np.array_equal(examples.take(ROWS.train, places, 1), view[places])
    assert np.array_equal(examples.take(ROWS.train, places, 2), vectors[ROWS.train[places]])
    run = fit_head(examples, ROWS, SETTINGS, tmp_path / "views")
    plain = fit_head(Examples(vectors, labels), ROWS, SETTINGS, tmp_path / "plain")
    assert run.history[0].val_loss == plain.history[0].val_loss
    assert run.history[1].val_loss != plain.history[1].val_loss
