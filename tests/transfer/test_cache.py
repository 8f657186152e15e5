"""The cache of features: what lies there is listed, checked and removed."""

from __future__ import annotations

import json
import os
import time
from pathlib import Path

import pytest

from tellapart.cli import main
from tellapart.data.dataset import Dataset
from tellapart.transfer.cache import DAY, describe_sets, list_sets, prune_sets
from tellapart.transfer.features import extract_features
from tellapart.transfer.resources import Resources
from tellapart.transfer.store import FORMAT, KEY, list_shards, locate_features

from .backbones import make_tiny


@pytest.fixture
def folders(digits: Dataset) -> list[Path]:
    """Two sets of features; the second was used 40 days ago."""
    found: list[Path] = []
    for seed in (0, 1):
        extract_features(digits, make_tiny(seed), Resources("cpu"))
        found += [path for path in locate_features().iterdir() if path not in found]
    old = time.time() - 40 * DAY
    os.utime(found[1] / KEY, (old, old))
    return found


def test_sets_are_listed_by_their_last_use(folders: list[Path], digits: Dataset) -> None:
    sets = list_sets()
    assert [one.folder for one in sets] == folders
    assert [one.images for one in sets] == [len(set(digits.hashes))] * 2
    assert sets[0].key["backbone"] == "hub/tiny:one" and sets[0].key["view"] == "plain"
    assert sets[0].size == sum(path.stat().st_size for path in folders[0].iterdir())
    text = describe_sets(sets)
    assert text.count("hub/tiny:one") == 2 and "16 px, plain, openvino" in text


def test_damage_is_found_by_a_check_and_removed(folders: list[Path]) -> None:
    (first, *_) = list_shards(folders[0])
    content = bytearray(first.read_bytes())
    content[-1] ^= 1
    first.write_bytes(content)
    assert [one.damaged for one in list_sets()] == [(), ()]
    (checked, other) = list_sets(check=True)
    assert (checked.damaged, other.damaged) == ((first,), ())
    assert "1 damaged" in describe_sets([checked])
    assert prune_sets((checked, other)) == ()
    assert not first.exists() and other.folder.is_dir()


@pytest.mark.parametrize(
    ("days", "backbone", "left"),
    [(None, None, [0, 1]), (30, None, [0]), (30, "other", [0, 1]), (None, "hub/tiny:one", []),
     (0, None, []), (50, None, [0, 1])],
)  # fmt: skip
def test_what_is_told_is_removed(
    days: float | None, backbone: str | None, left: list[int], folders: list[Path]
) -> None:
    gone = prune_sets(list_sets(), days, backbone)
    assert [number for number, folder in enumerate(folders) if folder.is_dir()] == left
    assert len(gone) == 2 - len(left)


def test_sets_of_another_version_are_named_and_removed(folders: list[Path]) -> None:
    for folder, format in zip(folders, (FORMAT - 1, FORMAT + 1), strict=True):
        (folder / KEY).write_text(json.dumps({"format": format}))
    sets = list_sets()
    assert not any(one.key for one in sets)
    assert describe_sets(sets).count("of another version: prune removes it") == 2
    assert {one.folder for one in prune_sets(sets)} == set(folders)


def test_folders_without_the_key_of_a_set_are_neither_listed_nor_removed(
    folders: list[Path],
) -> None:
    root = locate_features()
    files = ("train/x.npy", "weights/y.safetensors", "mine/notes.json", "key/key.json")
    for name in files:
        (root / name).parent.mkdir()
        (root / name).write_text("{}")
    (root / "empty").mkdir()
    (root / "list").mkdir()
    (root / "list" / KEY).write_text("[1]")
    (root / "thesis.txt").write_text("not ours")
    (folders[1] / "thesis.txt").write_text("not ours, in a folder of ours")
    assert [one.folder for one in list_sets()] == [folders[0]]
    assert [one.folder for one in prune_sets(list_sets(), unused_days=0)] == [folders[0]]
    assert all((root / name).is_file() for name in (*files, "thesis.txt", f"list/{KEY}"))
    assert (root / "empty").is_dir() and (folders[1] / KEY).is_file()


def test_the_commands(folders: list[Path], capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["cache", "list"]) == 0
    assert capsys.readouterr().out.count("hub/tiny:one") == 2
    assert main(["cache", "verify", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert [one["damaged"] for one in found] == [[], []]
    assert main(["cache", "prune", "--unused-days", "30"]) == 0
    assert capsys.readouterr().out.startswith("removed 1 sets")
    assert main(["cache", "prune", "--unused-days", "0"]) == 0
    assert "no features in" in capsys.readouterr().out
