import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from tellapart.config import SplitSettings
from tellapart.data.dataset import ArraySource, Dataset
from tellapart.data.split import count_leaks, make_split, read_split, write_split
from tellapart.errors import DataError, UserError, WorkspaceError

Maker = Callable[..., Dataset]


def parts_of(split: object) -> dict[str, list[int]]:
    return {role: getattr(split, role).tolist() for role in ("train", "val", "test")}


def test_without_roles_both_are_carved_per_class(make_dataset: Maker) -> None:
    dataset = make_dataset([0] * 100 + [1] * 40 + [2] * 6)
    split = make_split(dataset)
    for rows in (split.val, split.test):
        assert np.bincount(dataset.labels[rows]).tolist() == [15, 6, 1]
        assert rows.dtype == np.int64
        assert (np.diff(rows) > 0).all()
    everything = np.concatenate([split.train, split.val, split.test])
    assert sorted(everything.tolist()) == list(range(146))
    assert any(note.startswith("test: 22 images") for note in split.notes)


def test_the_most_is_shared_among_classes(make_dataset: Maker) -> None:
    dataset = make_dataset([0] * 500 + [1] * 500 + [2] * 500)
    split = make_split(dataset, SplitSettings(most=100))
    assert len(split.val) == len(split.test) == 100
    assert max(np.bincount(dataset.labels[split.val])) <= 34


def test_given_roles_are_kept(make_dataset: Maker) -> None:
    roles = ["train", "val", "test"] * 10
    split = make_split(make_dataset([0, 1] * 15, roles=roles))
    assert parts_of(split) == {
        role: [row for row, given in enumerate(roles) if given == role]
        for role in ("train", "val", "test")
    }
    assert split.notes == ()


@pytest.mark.parametrize("given", ["val", "test"])
def test_only_the_missing_role_is_carved(make_dataset: Maker, given: str) -> None:
    dataset = make_dataset([0] * 20 + [1] * 20 + [0, 1], roles=["train"] * 40 + [given] * 2)
    split = make_split(dataset)
    other = {"val": split.test, "test": split.val}[given]
    assert {"val": split.val, "test": split.test}[given].tolist() == [40, 41]
    assert np.bincount(dataset.labels[other]).tolist() == [3, 3]


def test_no_training_images_are_refused(make_dataset: Maker) -> None:
    with pytest.raises(DataError, match="images to train on"):
        make_split(make_dataset([0, 1], roles=["val", "test"]))


def test_of_many_small_classes_some_are_named(make_dataset: Maker) -> None:
    with pytest.raises(DataError, match=r"'class 29' \(1\) and 70 more; add images"):
        make_split(make_dataset(list(range(100))))


def test_too_few_images_are_refused_only_if_carved(make_dataset: Maker) -> None:
    labels = [0] * 10 + [1] * 4
    with pytest.raises(DataError, match=r"5 different images.*'class 1' \(4\); add"):
        make_split(make_dataset(labels))
    roles = ["train"] * 6 + ["val"] * 2 + ["test"] * 2 + ["train"] * 2 + ["val", "test"]
    assert len(make_split(make_dataset(labels, roles=roles)).train) == 8


def test_all_classes_that_are_too_small_are_named(make_dataset: Maker) -> None:
    with pytest.raises(DataError, match=r"'class 1' \(3\), 'class 2' \(2\)"):
        make_split(make_dataset([0] * 9 + [1] * 3 + [2] * 2))


def test_copies_do_not_count_as_different(make_dataset: Maker) -> None:
    with pytest.raises(DataError, match=r"'class 1' \(1\)"):
        make_split(make_dataset([0] * 10 + [1] * 9, hashes=[*"abcdefghij", *"x" * 9]))


@given(
    st.lists(st.tuples(st.integers(0, 2), st.integers(0, 30)), max_size=120),
    st.integers(0, 3),
    st.sampled_from([0.01, 0.15, 0.49]),
)
def test_equal_images_stay_on_one_side(
    extra: list[tuple[int, int]], seed: int, share: float
) -> None:
    rows = [(label, f"own {label} {number}") for label in range(3) for number in range(5)]
    rows += [(label, f"shared {number}") for label, number in extra]
    dataset = Dataset(
        "made", "made", ("a", "b", "c"),
        np.array([label for label, _ in rows], np.int64),
        ArraySource(np.zeros((len(rows), 1, 1, 1), np.uint8)),
        tuple(digest for _, digest in rows), ("",) * len(rows),
        1, "", 1, {}, {},
    )  # fmt: skip
    split = make_split(dataset, SplitSettings(val_share=share, test_share=share, seed=seed))
    sides = [{dataset.hashes[row] for row in part} for part in parts_of(split).values()]
    assert not sides[0] & sides[1]
    assert not sides[0] & sides[2]
    assert not sides[1] & sides[2]
    assert sorted(np.concatenate([split.train, split.val, split.test]).tolist()) == list(
        range(len(rows))
    )
    for part in (split.train, split.val, split.test):
        assert {0, 1, 2} <= set(dataset.labels[part].tolist())


def test_order_does_not_matter_and_the_seed_does(make_dataset: Maker) -> None:
    labels = [0, 1] * 50
    hashes = [f"{number:024x}" for number in range(100)]
    first, turned = make_dataset(labels, hashes), make_dataset(labels[::-1], hashes[::-1])
    chosen = {first.hashes[row] for row in make_split(first).val}
    assert {turned.hashes[row] for row in make_split(turned).val} == chosen
    other = make_split(first, SplitSettings(seed=1))
    assert {first.hashes[row] for row in other.val} != chosen


@example([2], 1, 36)
@given(st.lists(st.integers(0, 2), min_size=1, max_size=60), st.integers(0, 9), st.integers(10, 60))
def test_more_images_move_few_and_none_of_other_classes(
    extra: list[int], seed: int, each: int
) -> None:
    """The shares stay those asked for, so that for an image that is added up to three may move.

    One may come into test as its share grows; if it was of val, another takes its place there, and
    a third comes with the growing share of val.
    """
    labels = [0, 1, 2] * each
    sides = []
    for added in ([], extra):
        rows = np.array(labels + added, np.int64)
        dataset = Dataset(
            "made", "made", tuple("abc"), rows,
            ArraySource(np.zeros((len(rows), 1, 1, 1), np.uint8)),
            tuple(f"{row:024x}" for row in range(len(rows))), ("",) * len(rows), 1, "", 1, {}, {},
        )  # fmt: skip
        split = make_split(dataset, SplitSettings(seed=seed))
        parts = {row: role for role in ("train", "val", "test") for row in getattr(split, role)}
        sides.append(parts)
    for label in range(3):
        moved = [row for row in range(label, len(labels), 3) if sides[0][row] != sides[1][row]]
        assert len(moved) <= 3 * extra.count(label)


def test_a_manifest_gives_the_split_back(make_dataset: Maker, tmp_path: Path) -> None:
    dataset = make_dataset([0, 0, 1, 1] * 10, hashes=[f"h{row // 2}" for row in range(40)])
    split = make_split(dataset)
    path = write_split(tmp_path / "split.json", dataset, split)
    found = read_split(path, dataset)
    assert parts_of(found) == parts_of(split)
    assert (found.settings, found.notes) == (split.settings, split.notes)
    manifest = json.loads(path.read_text())
    assert manifest["version"] == 1
    assert manifest["fingerprint"] == dataset.fingerprint
    assert manifest["test"] == [dataset.hashes[row] for row in split.test]


def test_a_manifest_with_leaks_gives_the_split_back(make_dataset: Maker, tmp_path: Path) -> None:
    hashes = [*"abcdefghij", *"abx"]
    dataset = make_dataset([0, 1] * 5 + [0, 1, 0], hashes, ["train"] * 10 + ["test"] * 3)
    split = make_split(dataset)
    path = write_split(tmp_path / "split.json", dataset, split)
    assert parts_of(read_split(path, dataset)) == parts_of(split)


def test_another_fingerprint_is_refused(make_dataset: Maker, tmp_path: Path) -> None:
    dataset = make_dataset([0, 1] * 20)
    path = write_split(tmp_path / "split.json", dataset, make_split(dataset))
    other = make_dataset([1, 0] * 20)
    with pytest.raises(DataError, match="split of other data"):
        read_split(path, other)


def test_damaged_manifests_are_refused(make_dataset: Maker, tmp_path: Path) -> None:
    dataset = make_dataset([0, 1] * 20)
    path = write_split(tmp_path / "split.json", dataset, make_split(dataset))
    good = json.loads(path.read_text())
    for change in (
        {"version": 9},
        {"train": good["train"][1:]},
        {"val": [*good["val"], "unknown"]},
        {"settings": {"nonsense": 1}},
        {"test": 3},
        {"test": {"a": "b"}},
        {"train": [*good["train"], *good["val"]], "val": []},
    ):
        path.write_text(json.dumps({**good, **change}))
        with pytest.raises(UserError, match=r"split\.json"):
            read_split(path, dataset)
    for content in ("[]", "{}", "null", "{"):
        path.write_text(content)
        with pytest.raises(WorkspaceError, match=r"split\.json"):
            read_split(path, dataset)


def test_leaks_are_counted(make_dataset: Maker) -> None:
    dataset = make_dataset(
        [0, 1, 0, 1, 0, 1], list("ababcd"), ["train", "train", "val", "test", "test", "val"]
    )
    assert count_leaks(dataset.hashes, make_split(dataset)) == 2
    between = make_dataset([0, 1, 0, 1], list("abcc"), ["train", "train", "val", "test"])
    assert count_leaks(between.hashes, make_split(between)) == 1
    clean = make_dataset([0] * 20 + [1] * 20)
    assert count_leaks(clean.hashes, make_split(clean)) == 0
