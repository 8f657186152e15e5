"""Two processes train and evaluate to the numbers of one, on sizes that do not divide."""

from __future__ import annotations

import json
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from safetensors.numpy import load_file

from tellapart.data.loader import cut_epoch, iterate_batches, read_batches, split_batch
from tellapart.errors import Interrupted
from tellapart.records import RunRecord
from tellapart.stop import clear_stop
from tellapart.train.ranks import ALONE, Ranks, agree_on, gather_logits, read_ranks, send_bytes
from tellapart.train.resume import list_checkpoints

from .conftest import make_noise
from .together import (
    BLOWN,
    CASES,
    DIES,
    RESUMED,
    STOPPED,
    end_ranks,
    start_ranks,
    train_case,
)

MODULE = ("-m", "tests.train.together")


@pytest.mark.parametrize("ranks", range(1, 5))
@pytest.mark.parametrize("size", range(10))
def test_every_row_is_in_one_share(size: int, ranks: int) -> None:
    rows = np.arange(size)[::-1] * 7
    shares = [split_batch(rows, rank, ranks) for rank in range(ranks)]
    assert np.concatenate(shares).tolist() == rows.tolist()
    assert max(map(len, shares)) - min(map(len, shares)) <= 1


@given(n=st.integers(0, 40), batch=st.integers(1, 9), ranks=st.integers(1, 4))
def test_the_shares_of_each_batch_make_the_batch(n: int, batch: int, ranks: int) -> None:
    noise = make_noise(40, 4, 1)
    rows = np.random.default_rng(n).permutation(40)[:n]
    whole = list(iterate_batches(noise, rows, batch))
    cut = [rows[a:b] for a, b in pairwise(cut_epoch(n, batch))]
    shares = [
        list(read_batches(noise, [split_batch(part, rank, ranks) for part in cut]))
        for rank in range(ranks)
    ]
    assert {len(share) for share in shares} == {len(whole)}
    for number, expected in enumerate(whole):
        for part in range(3):
            joined = np.concatenate([share[number][part] for share in shares])
            assert joined.tolist() == np.asarray(expected[part]).tolist()


def test_a_process_that_torchrun_did_not_start_is_alone() -> None:
    told = {"RANK": "1", "WORLD_SIZE": "3", "MASTER_ADDR": "here", "MASTER_PORT": "1"}
    assert read_ranks(told) == Ranks(1, 3)
    for name in told:
        assert read_ranks({key: told[key] for key in told if key != name}) == ALONE


def test_alone_nothing_is_sent() -> None:
    logits = np.ones((3, 2), np.float32)
    assert gather_logits(ALONE, logits, np.arange(3)) is logits
    assert send_bytes(ALONE, b"here") == b"here"
    assert agree_on(ALONE, True)
    assert not agree_on(ALONE, False)


@dataclass(frozen=True)
class Pair:
    alone: Path
    together: Path
    read_alone: dict[str, list[list[int]]]
    read: list[dict[str, list[list[int]]]]
    said: list[str]


@pytest.fixture(scope="module")
def pair(tmp_path_factory: pytest.TempPathFactory) -> Pair:
    root = tmp_path_factory.mktemp("ranks")
    with pytest.raises(Interrupted):
        train_case(RESUMED, root / "together", stop_at=6)
    clear_stop()
    names = (*CASES, RESUMED, BLOWN, STOPPED)
    processes = start_ranks(2, *MODULE, str(root / "together"), *names)
    read_alone = {name: train_case(name, root / "alone")[1] for name in CASES}
    ends = end_ranks(processes)
    assert [code for code, _, _ in ends] == [3, 3], ends
    _, read, said = zip(*ends, strict=True)
    return Pair(
        root / "alone", root / "together", read_alone, [json.loads(text) for text in read], [*said]
    )


def read_run(folder: Path) -> RunRecord:
    return RunRecord.model_validate_json((folder / "record.json").read_text())


def compare_runs(found: Path, expected: Path) -> None:
    one, other = read_run(expected), read_run(found)
    assert other.val_accuracy == one.val_accuracy
    assert other.best_epoch == one.best_epoch
    for row, like in zip(other.history, one.history, strict=True):
        for name in ("loss", "val_loss", "lr"):
            assert getattr(row, name) == pytest.approx(getattr(like, name), rel=1e-5, abs=1e-5)
        assert (row.accuracy, row.val_accuracy) == (like.accuracy, like.val_accuracy)
    for name in ("best", "last"):
        weights, like_weights = (
            load_file(folder / f"weights/{name}.safetensors") for folder in (found, expected)
        )
        assert weights.keys() == like_weights.keys()
        for key, value in weights.items():
            np.testing.assert_allclose(value, like_weights[key], rtol=1e-4, atol=2e-5, err_msg=key)


@pytest.mark.parametrize("name", CASES)
def test_two_processes_come_to_the_numbers_of_one(name: str, pair: Pair) -> None:
    compare_runs(pair.together / name, pair.alone / name)


@pytest.mark.parametrize("name", ["adam", "muon", "norm"])
def test_two_processes_read_the_rows_of_one_in_order(name: str, pair: Pair) -> None:
    first, second = (read[name] for read in pair.read)
    whole = pair.read_alone[name]
    sizes = (50, 51) if name == "norm" else (64, 11)  # alike where a batch is normalised
    steps = [rows for rows in whole if len(rows) in sizes]
    joined = [[*a, *b] for a, b in zip(first, second, strict=True) if len(a) + len(b) in sizes]
    assert len(steps) == 3 * 4
    assert joined == steps
    assert sum(map(len, first)) + sum(map(len, second)) == sum(map(len, whole)) == 3 * (203 + 101)


def test_rank_0_alone_writes(pair: Pair) -> None:
    for name in CASES:
        files = sorted(path.name for path in (pair.together / name).iterdir())
        assert files == ["args.json", "history.csv", "record.json", "weights"]


def test_a_stop_of_one_stops_both_and_one_process_goes_on(pair: Pair) -> None:
    assert all("the same command goes on from here" in said for said in pair.said)
    folder = pair.together / STOPPED
    (checkpoint,) = list_checkpoints(folder)
    assert checkpoint.name.startswith("000001-00000001-")
    assert not (folder / "record.json").exists()
    _, read = train_case(STOPPED, pair.together)
    assert read == pair.read_alone["adam"][6:], "what the two had done is not done again"
    compare_runs(folder, pair.alone / "adam")


def test_two_processes_go_on_from_the_checkpoint_of_one(pair: Pair) -> None:
    compare_runs(pair.together / RESUMED, pair.alone / "adam")
    whole = sum(map(len, pair.read_alone["adam"][6:]))
    assert sum(sum(map(len, read[RESUMED])) for read in pair.read) == whole


def test_both_see_that_a_loss_is_not_finite(pair: Pair) -> None:
    folder = pair.together / BLOWN
    assert json.loads((folder / "status.json").read_text())["status"] == "failed: not finite"
    assert all(BLOWN not in read for read in pair.read)


def test_a_rank_that_dies_leaves_none_waiting(tmp_path: Path) -> None:
    (code, _, said), (died, _, _) = end_ranks(start_ranks(2, *MODULE, str(tmp_path), DIES))
    assert (code, died) == (1, 9)
    assert "another process of this training failed or ended" in said
    assert not list((tmp_path / DIES).glob("working.lock"))
