"""The model's section: mistakes with their names as text, cells that open their images."""

from __future__ import annotations

import io
from base64 import b64decode
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tellapart.records import HandoverStep, Mistakes, StudyRecord
from tellapart.report.page import render_report
from tellapart.report.sections.handover import HANDOVER, picture_mistakes, say_mistakes
from tests.report import studies
from tests.report.test_page import Reader


def change(record: StudyRecord, mistakes: Mistakes | None) -> StudyRecord:
    step = record.steps["model"].model_copy(update={"mistakes": mistakes})
    return record.model_copy(update={"steps": {**record.steps, "model": step}})


def test_each_cell_leads_to_its_images(tmp_path: Path) -> None:
    classes = studies.HOSTILE
    page = Reader(render_report(studies.make_study(classes, only=("transfer", "model")), tmp_path))
    links = [a for a in page.find("a") if str(a.get("href")).startswith("#confused-")]
    assert {a["title"] for a in links} == {
        f"{true}, called {called}"
        for true, called in zip(classes, (*classes[1:], classes[0]), strict=True)
    }
    assert {str(a["href"])[1:] for a in links} <= {a.get("id") for a in page.find("div")}
    for name in classes:
        assert f"{name}/<b>1</b>.jpg" in page.text and f"{name}/<i>" in page.text
    assert not page.find("i")


def test_many_classes_are_a_list(tmp_path: Path) -> None:
    names = tuple(f"class {number:02}" for number in range(24))
    page = Reader(render_report(studies.make_study(names, only=("transfer", "model")), tmp_path))
    assert not [a for a in page.find("table") if "matrix" in str(a.get("class"))]
    assert "The 24 most frequent confusions." in page.text
    assert "class 23, called class 00: 1 of 100" in page.text
    assert "14 rarer confusions" in page.text


def test_the_words(study: StudyRecord, tmp_path: Path) -> None:
    step = study.steps["model"]
    assert isinstance(step, HandoverStep) and step.mistakes is not None
    assert HANDOVER.answer(step, study.data.classes).endswith(
        "It gets 130 of 1,000 test images wrong; most often it takes airplane for automobile "
        "(10 of 100)."
    )
    none = Mistakes(count=0, of=60)
    assert say_mistakes(none) == "It gets none of the 60 test images wrong."
    assert say_mistakes(None) == ""
    for found in (none, None):
        text = Reader(render_report(change(study, found), tmp_path)).text
        assert "The surest mistakes" not in text and "Which classes it confuses" not in text


def test_images_are_cut_from_the_sheet(study: StudyRecord, tmp_path: Path) -> None:
    step = study.steps["model"]
    assert isinstance(step, HandoverStep) and step.mistakes is not None
    assert picture_mistakes(step, study.data.classes, tmp_path) == {}
    (tmp_path / "model").mkdir()
    sheet = Image.new("RGB", (128, 64 * len(step.mistakes.confused)), "white")
    sheet.paste((200, 0, 0), (64, 64, 128, 128))
    sheet.save(tmp_path / "model" / "confused.png")
    found = picture_mistakes(step, study.data.classes, tmp_path)
    assert len(found) == 2 * len(step.mistakes.confused)
    for name, red in (("2 2", True), ("2 1", False), ("1 2", False)):
        with Image.open(io.BytesIO(b64decode(found[name].partition(",")[2]))) as tile:
            assert tile.size == (64, 64)
            green = np.asarray(tile.convert("RGB"))[:, :, 1]
            assert (green.min() < 20) == red


@pytest.mark.parametrize("bad", [b"", b"no", b"\x89PNG\r\n\x1a\n"])
def test_damaged_sheets_are_left_out(bad: bytes, study: StudyRecord, tmp_path: Path) -> None:
    step = study.steps["model"]
    assert isinstance(step, HandoverStep)
    (tmp_path / "model").mkdir()
    for name in ("mistakes", "confused"):
        (tmp_path / "model" / f"{name}.png").write_bytes(bad)
    assert picture_mistakes(step, study.data.classes, tmp_path) == {}
