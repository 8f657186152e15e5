"""Each fault planted, and found as what it is; a clean set has no finding."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tellapart.audit import Looked, audit_images, find_faults
from tellapart.cli import main
from tellapart.data import Dataset, load_images
from tellapart.data.split import make_split
from tellapart.records import Finding
from tests.data.test_copies import make_scenes


def write_set(root: Path, count: int = 120) -> Path:
    """Write pictures of two classes, alike in all but what they show."""
    for number, scene in enumerate(make_scenes(count)):
        folder = root / "ab"[number % 2]
        folder.mkdir(parents=True, exist_ok=True)
        Image.fromarray(scene).save(folder / f"{number:03}.bmp")  # all have as many bytes
    return root


def read(path: Path) -> Image.Image:
    with Image.open(path) as image:
        return image.copy()


def find(dataset: Dataset, folder: Path | None = None) -> dict[str, Finding]:
    return {one.name: one for one in find_faults(Looked(dataset, make_split(dataset), folder))}


def test_a_clean_set_has_no_finding(tmp_path: Path) -> None:
    assert find(load_images(write_set(tmp_path / "clean"))) == {}


def test_the_digits_have_no_finding(digits: Dataset) -> None:
    assert find(digits) == {}


def test_copies_with_two_labels_are_grave(tmp_path: Path) -> None:
    root = write_set(tmp_path / "set")
    read(root / "a" / "000.bmp").save(root / "b" / "copy.jpg", quality=80)
    (root / "a" / "same.bmp").write_bytes((root / "b" / "001.bmp").read_bytes())
    found = find(load_images(root), tmp_path / "inspect")
    conflicts = found["conflicts"]
    assert (conflicts.severity, conflicts.count) == ("grave", 4)
    assert set(conflicts.examples) == {
        "a/same.bmp (a) and b/001.bmp (b)", "a/000.bmp (a) and b/copy.jpg (b)",
    }  # fmt: skip
    with Image.open(tmp_path / conflicts.picture) as image:
        assert image.format == "PNG" and image.width > 300
    assert found["copies"].severity == "mind" and "leaks" not in found


def test_copies_across_given_splits_are_leaks(tmp_path: Path) -> None:
    root = tmp_path / "set"
    write_set(root / "train")
    for number, scene in enumerate(make_scenes(20, seed=9)):
        (root / "test" / "ab"[number % 2]).mkdir(parents=True, exist_ok=True)
        Image.fromarray(scene).save(root / "test" / "ab"[number % 2] / f"{number}.bmp")
    for number in range(3):
        image = read(root / "train" / "a" / f"{2 * number:03}.bmp")
        image.resize((48, 48)).save(root / "test" / "a" / f"copy{number}.png")
    leaks = find(load_images(root), tmp_path / "inspect")["leaks"]
    assert (leaks.severity, leaks.count) == ("grave", 3)
    assert "3 of 23 in test" in leaks.sentence and "--split grouped" in leaks.advice
    assert leaks.examples[0].startswith("train/a/000.bmp (a) and test/a/copy0.png")


def test_groups_on_two_sides_are_grave(tmp_path: Path) -> None:
    dataset = load_images(write_set(tmp_path / "set"))
    names = tuple(f"g{row % 40}" for row in range(120))
    roles = ("train",) * 80 + ("test",) * 40
    found = find(replace(dataset, names=names, roles=roles), tmp_path / "inspect")["groups"]
    assert found.severity == "grave" and "--split grouped" in found.advice
    assert "40 of 40 groups are divided" in found.sentence
    assert found.examples[0] == "a/000.bmp (a) and b/041.bmp (b)" and len(found.examples) == 24
    with Image.open(tmp_path / found.picture) as image:
        assert image.format == "PNG" and image.width > 300
    assert "groups" not in find(replace(dataset, names=names))


@pytest.mark.parametrize("what", ["width", "mode", "bytes", "column"])
def test_a_class_that_the_file_gives_away_is_grave(tmp_path: Path, what: str) -> None:
    root = write_set(tmp_path / "set")
    for path in sorted((root / "a").iterdir()):
        image = read(path)
        if what == "width":
            image.resize((40, 32)).save(path)
        elif what == "mode":
            image.convert("L").convert("P").save(path)
        elif what == "bytes":
            path.write_bytes(path.read_bytes() + bytes(5000))
    dataset = load_images(root)
    if what == "column":
        told = tuple("north" if label else "south" for label in dataset.labels.tolist())
        dataset = replace(dataset, facts=dataset.facts | {"site": told})
    found = find(dataset)["shortcuts"]
    assert found.severity == "grave"
    assert ("the column site" if what == "column" else "width, height, mode") in found.sentence
    assert found.title == "The class can be told without a close look"
    assert "The commonest class alone gives 50.0 %." in found.sentence


def test_columns_of_chance_are_no_shortcuts(tmp_path: Path) -> None:
    dataset = load_images(write_set(tmp_path / "set"))
    rng = np.random.default_rng(0)
    chance = {f"column {n}": tuple(map(str, rng.integers(0, 9, 120))) for n in range(20)}
    assert "shortcuts" not in find(replace(dataset, facts=dataset.facts | chance))


def test_a_group_s_own_column_is_no_shortcut(tmp_path: Path) -> None:
    """The name of a patient tells the class of its other images, and says nothing of new ones."""
    dataset = load_images(write_set(tmp_path / "set"))
    numbers = np.random.default_rng(0).permutation(20)
    names = tuple(f"{numbers[row // 6]}" for row in range(120))
    found = find(replace(dataset, names=names, facts=dataset.facts | {"patient": names}))
    assert "shortcuts" not in found


@pytest.mark.parametrize("what", ["darker", "classes"])
def test_a_test_set_of_another_kind_is_said(tmp_path: Path, what: str) -> None:
    root = tmp_path / "set"
    write_set(root / "train")
    for number, scene in enumerate(make_scenes(60, seed=9)):
        name = "ab"[number % (2 if what == "darker" else 10) and 1]
        (root / "test" / name).mkdir(parents=True, exist_ok=True)
        changed = scene // 2 if what == "darker" else scene
        Image.fromarray(changed).save(root / "test" / name / f"{number}.bmp")
    found = find(load_images(root))["drift"]
    expected = (
        "brightness of train and test"
        if what == "darker"
        else "frequency of classes in train and test"
    )
    assert expected in found.sentence and found.severity == "grave"
    assert "val" not in found.sentence


def test_blank_and_unreadable_files_are_named(tmp_path: Path) -> None:
    root = write_set(tmp_path / "set")
    for number in range(3):
        Image.new("RGB", (32, 32), (number, 9, 9)).save(root / "a" / f"blank{number}.bmp")
        (root / "b" / f"page{number}.png").write_text("<html>")
    found = find(load_images(root))
    assert found["blank"].severity == "grave" and found["blank"].count == 3
    assert found["blank"].examples == tuple(f"a/blank{number}.bmp" for number in range(3))
    assert found["unreadable"].count == 3
    assert found["unreadable"].examples[0].startswith("b/page0.png: not an image")


@pytest.mark.parametrize(("rare", "severity"), [(50, "mind"), (10, "grave")])
def test_unequal_classes(make_dataset: Callable[..., Dataset], rare: int, severity: str) -> None:
    found = find(make_dataset([0] * 200 + [1] * rare))
    assert found["balance"].severity == severity and found["balance"].count == rare


def test_grave_findings_come_first(tmp_path: Path) -> None:
    root = write_set(tmp_path / "set")
    (root / "a" / "same.bmp").write_bytes((root / "b" / "001.bmp").read_bytes())
    dataset = load_images(root)
    step = audit_images(dataset, make_split(dataset), tmp_path / "inspect")
    assert [one.severity for one in step.findings] == ["grave", "mind"]


def test_inspect_fails_on_what_is_named_and_writes_what_to_leave_out(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    root = write_set(tmp_path / "set")
    (root / "a" / "same.bmp").write_bytes((root / "b" / "001.bmp").read_bytes())
    arguments = ["inspect", "set", "--fail-on", "leaks,conflicts", "--exclude-to", "out.csv"]
    assert main(arguments) == 2
    said = capsys.readouterr().err.splitlines()[-1]
    assert said.startswith("tellapart: copies with two labels: Pictures under two labels: 1")
    assert (tmp_path / "out.csv").read_text().splitlines() == [
        "file,reason", "a/same.bmp,Copies with two labels", "b/001.bmp,Copies with two labels",
    ]  # fmt: skip
    assert main(["inspect", "set", "--fail-on", "conflicts", "--exclude", "out.csv"]) == 0
    assert "left out by out.csv: 2 images" in capsys.readouterr().err
    assert main(["inspect", "set", "--fail-on", "leak"]) == 2
    assert "did you mean 'leaks'" in capsys.readouterr().err


def test_commands_that_train_say_what_is_grave(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    root = write_set(tmp_path / "set", 60)
    (root / "a" / "same.bmp").write_bytes((root / "b" / "001.bmp").read_bytes())
    assert main(["train", "set", "--epochs", "1", "--width", "4", "--dense", "4"]) == 0
    said = capsys.readouterr().err
    assert "Copies with two labels: Pictures under two labels: 1, on 2 images." in said


def test_a_column_of_labels_or_of_row_numbers_is_no_shortcut(tmp_path: Path) -> None:
    dataset = load_images(write_set(tmp_path / "set"))
    labels = dataset.labels.tolist()
    facts = {"label_id": tuple(map(str, labels)), "index": tuple(map(str, range(120)))}
    assert "shortcuts" not in find(replace(dataset, facts=dataset.facts | facts))


def test_a_column_with_infinite_numbers_is_read(tmp_path: Path) -> None:
    dataset = load_images(write_set(tmp_path / "set"))
    odd = tuple(("inf", "1e300", "nan", "-inf", "2")[row % 5] for row in range(120))
    assert find(replace(dataset, facts=dataset.facts | {"odd": odd})) == {}


def test_a_border_that_gives_the_class_away_is_said(tmp_path: Path) -> None:
    root = write_set(tmp_path / "set")
    for path in sorted((root / "a").iterdir()):
        image = np.array(read(path))
        image[:2] = image[-2:] = image[:, :2] = image[:, -2:] = 250
        Image.fromarray(image).save(path)
    found = find(load_images(root))["shortcuts"]
    assert found.severity == "mind" and "the colour of their borders" in found.sentence


def test_arrays_of_a_single_colour_are_named() -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (60, 16, 16, 3), np.uint8)
    pixels[[4, 9]] = 7
    blank = find(load_images((pixels, np.arange(60) % 2)))["blank"]
    assert (blank.count, blank.examples) == (2, ("row 4", "row 9"))


def test_val_and_test_that_differ_are_named(tmp_path: Path) -> None:
    """Train is of both kinds, so that neither differs from it by much."""
    scenes = make_scenes(240)
    darker = np.arange(240) % 2
    darker[160:200], darker[200:] = 0, 1
    pixels = np.where(darker[:, None, None, None], scenes // 2, scenes).astype(np.uint8)
    dataset = replace(
        load_images((pixels, np.arange(240) // 2 % 2)),
        roles=("train",) * 160 + ("val",) * 40 + ("test",) * 40,
    )
    drift = find(dataset)["drift"]
    assert "brightness of val and test" in drift.sentence


def test_names_of_imagenet_are_named(tmp_path: Path) -> None:
    root = write_set(tmp_path / "set")
    for number in range(3):
        path = root / "a" / f"{2 * number:03}.bmp"
        path.rename(root / "a" / f"n0144076{number}_{number}.bmp")
    (root / "b" / "001.bmp").rename(root / "b" / "n20240101_1.bmp")
    found = find(load_images(root))["pretrained"]
    assert (found.count, found.severity) == (3, "mind")


def test_a_pipeline_is_told_what_was_not_looked_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    assert main(["inspect", "digits", "--fail-on", "copies"]) == 0
    assert "not looked for: copies that are not equal to the byte" in capsys.readouterr().err
