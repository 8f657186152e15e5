"""Groups and copies stay on one side of every split, share and fold."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tellapart.audit import audit_images
from tellapart.config import ReadSettings, SplitSettings
from tellapart.data import load_images
from tellapart.data.dataset import ArraySource, Dataset
from tellapart.data.split import make_split
from tellapart.data.subset import take_share
from tellapart.errors import DataError
from tellapart.report.sections.inspect import answer
from tellapart.transfer.logistic import cut_folds

Writer = Callable[..., Path]


def make_grouped(labels: Sequence[int], hashes: Sequence[str], names: Sequence[str]) -> Dataset:
    count = len(labels)
    return Dataset(
        "made", "made", tuple("abc"[: max(labels) + 1]), np.array(labels, np.int64),
        ArraySource(np.zeros((count, 1, 1, 1), np.uint8)), tuple(hashes), ("",) * count,
        1, "", 1, {}, {}, names=tuple(names),
    )  # fmt: skip


def test_copies_join_groups_and_groups_join_copies() -> None:
    dataset = make_grouped([0] * 6, ["1", "1", "2", "3", "3", "4"], ["x", "y", "y", "", "z", ""])
    assert dataset.groups.tolist() == [1, 1, 1, 2, 2, 0]
    assert dataset.keys == ("group x", "group x", "group x", "group z", "group z", "4")
    assert replace(dataset, names=()).groups.tolist() == [0, 0, 1, 2, 2, 3]


def test_the_fingerprint_knows_the_groups() -> None:
    plain = make_grouped([0, 1], ["1", "2"], [])
    named = [replace(plain, names=names) for names in (("x", "x"), ("x", "y"))]
    assert len({one.fingerprint for one in (plain, *named)}) == 3


IMAGES = st.lists(
    st.tuples(st.integers(0, 2), st.integers(0, 40), st.integers(0, 25)), max_size=120
)


@given(IMAGES, st.integers(0, 3), st.sampled_from([0.05, 0.15, 0.4]))
def test_no_group_is_on_two_sides(
    extra: list[tuple[int, int, int]], seed: int, share: float
) -> None:
    rows = [
        (label, f"own {label} {one}", f"own {label} {one}")
        for label in range(3)
        for one in range(9)
    ]
    rows += [(label, f"{digest:02}", f"g{group}" * (group < 20)) for label, digest, group in extra]
    dataset = make_grouped(*zip(*rows, strict=True))
    split = make_split(dataset, SplitSettings(val_share=share, test_share=share, seed=seed))
    parts = (split.train, split.val, split.test)
    assert sorted(np.concatenate(parts).tolist()) == list(range(len(rows)))
    sides = [set(dataset.groups[part].tolist()) for part in parts]
    assert not (sides[0] & sides[1] or sides[0] & sides[2] or sides[1] & sides[2])
    for fold in cut_folds(dataset, np.arange(len(rows)), 3, seed):
        of = [
            set(dataset.groups[part].tolist())
            for part in (fold.rows.train, fold.rows.watch, fold.held)
        ]
        assert not (of[0] & of[1] or of[0] & of[2] or of[1] & of[2])


def test_a_group_keeps_its_side_when_it_grows() -> None:
    """Its rank is of its name, so that more images of it, and of others, move nothing."""
    rows = [(label, f"{label}{group}{one}", f"{label} {group}") for label in range(2)
            for group in range(20) for one in range(2)]  # fmt: skip
    before = make_grouped(*zip(*rows, strict=True))
    rows += [(0, f"new {one}", "0 3") for one in range(2)]
    after = make_grouped(*zip(*rows, strict=True))
    sides = [
        {dataset.names[row]: part for part in ("train", "val", "test")
         for row in getattr(make_split(dataset), part).tolist()}
        for dataset in (before, after)
    ]  # fmt: skip
    moved = [name for name in sides[0] if sides[0][name] != sides[1][name]]
    assert len(moved) <= 2 and "0 3" not in moved


def test_a_class_of_one_group_cannot_be_split() -> None:
    dataset = make_grouped([0] * 9 + [1] * 9, list("abcdefghijklmnopqr"), [""] * 9 + ["x"] * 9)
    with pytest.raises(DataError, match=r"5 different images and groups .*'b' \(1\)"):
        make_split(dataset)


def test_a_share_takes_groups_whole() -> None:
    rows = [(0, f"{group}{one}", f"g{group}") for group in range(10) for one in range(5)]
    dataset = make_grouped(*zip(*rows, strict=True))
    taken = take_share(dataset, np.arange(50), 0.5, seed=2)
    counts = np.bincount(dataset.groups[taken], minlength=10)
    assert sorted(counts.tolist()) == [0] * 5 + [5] * 5


def test_groups_come_from_the_paths_of_files(tmp_path: Path, write_image: Writer) -> None:
    for number in range(24):
        write_image(tmp_path / "ab"[number % 2] / f"{number // 4:03}_{number}.png", number)
    dataset = load_images(tmp_path, read=ReadSettings(group_from=r"(\d+)_\d+\.png"))
    assert dataset.names[:3] == ("000", "000", "001")
    assert len(set(dataset.groups.tolist())) == 6
    with pytest.raises(DataError, match="matches no path"):
        load_images(tmp_path, read=ReadSettings(group_from="patient"))
    some = load_images(tmp_path, read=ReadSettings(group_from=r"(000)_\d+\.png"))
    assert any("in no group, for" in note and "20 images, such as" in note for note in some.notes)


def test_a_given_split_that_divides_groups_is_said_and_made_anew_when_asked(tmp_path: Path) -> None:
    names = [f"g{row % 20}" for row in range(60)]
    dataset = make_grouped(
        [row % 3 for row in range(60)], [f"{row:02}" for row in range(60)], names
    )
    given = replace(dataset, roles=("train",) * 30 + ("val",) * 10 + ("test",) * 20)
    step = audit_images(given, make_split(given), tmp_path)
    assert (step.leaked, step.separated, step.groups) == (0, 30, 20)
    assert "whose group a split before theirs has too: 30 of 30; 20 of 20 groups" in answer(
        step, "abc"
    )
    split = make_split(given, SplitSettings(split="grouped"))
    assert "the splits that the data came with were not used (--split grouped)" in split.notes
    step = audit_images(given, split, tmp_path)
    assert step.separated == 0
    assert "They come in 20 groups, and no split divides one." in answer(step, "abc")


@pytest.mark.parametrize(
    "classes", [["ab"], ["aaaab", "aaa"], ["ab", "bc", "ca"], ["a", "abc", "bc"]]
)
def test_groups_of_several_classes_are_split(classes: list[str]) -> None:
    """Patients, each with images of several classes: every part has all of these."""
    rows = []
    for patient in range(60):
        for number, name in enumerate(classes[patient % len(classes)]):
            rows.append(("abc".index(name), f"{patient} {number}", f"p{patient}"))
    dataset = make_grouped(*zip(*rows, strict=True))
    split = make_split(dataset)
    known = set(dataset.labels.tolist())
    for part in (split.train, split.val, split.test):
        assert set(dataset.labels[part].tolist()) == known
        assert len(part) >= 0.05 * len(rows)


def test_tracks_are_proposed_and_folders_may_be_groups(tmp_path: Path, write_image: Writer) -> None:
    for track in range(8):
        for number in range(4):
            place = tmp_path / "ab"[track % 2] / f"burst{track}"
            write_image(place / f"{track:05}_{number:05}.ppm", 10 * track + number)
    dataset = load_images(tmp_path, read=ReadSettings(level="top"))
    (note,) = [one for one in dataset.notes if "tracks or bursts" in one]
    pattern = note.partition("'")[2].partition("'")[0]
    read = ReadSettings(level="top", group_from=pattern)
    assert len(set(load_images(tmp_path, read=read).groups.tolist())) == 8
    by_folder = load_images(tmp_path, read=ReadSettings(level="top", group="parent"))
    assert sorted(set(by_folder.names))[:2] == ["a/burst0", "a/burst2"]
