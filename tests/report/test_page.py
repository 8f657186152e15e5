"""The page: self-contained, safe with hostile names, complete, and the same for any subset."""

from __future__ import annotations

import base64
import re
import subprocess
import sys
from html.parser import HTMLParser
from pathlib import Path

import pytest

from tellapart.errors import WorkspaceError
from tellapart.records import ModelStep, StudyRecord
from tellapart.report.headline import is_optimistic
from tellapart.report.page import hash_source, render_report, write_report
from tellapart.report.sections import SECTIONS
from tellapart.report.wording import say_estimate
from tellapart.workspace import write_bytes, write_json
from tests.report import studies


class Reader(HTMLParser):
    """Collects elements, ids, visible text and the content of scripts, as a browser sees them."""

    def __init__(self, page: str) -> None:
        super().__init__(convert_charrefs=True)
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.words: list[str] = []
        self.scripts: list[str] = []
        self.inside = ""
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        self.inside = tag if tag in ("script", "style") else ""

    def handle_endtag(self, tag: str) -> None:
        self.inside = ""

    def handle_data(self, data: str) -> None:
        if self.inside == "script":
            self.scripts.append(data)
        elif not self.inside:
            self.words.append(data)

    @property
    def text(self) -> str:
        joined = "".join(self.words).replace("\N{NO-BREAK SPACE}", " ")
        return re.sub(r"\s+", " ", joined)

    def find(self, tag: str) -> list[dict[str, str | None]]:
        return [attrs for name, attrs in self.tags if name == tag]


@pytest.fixture(scope="module")
def page(study: StudyRecord, tmp_path_factory: pytest.TempPathFactory) -> str:
    folder = tmp_path_factory.mktemp("study")
    write_json(folder / "results.json", study)
    write_bytes(folder / "inspect" / "samples.png", studies.make_png())
    path = write_report(folder)
    assert path == folder / "report.html"
    return path.read_text(encoding="utf-8")


@pytest.fixture(scope="module")
def hostile_page(small: StudyRecord, tmp_path_factory: pytest.TempPathFactory) -> str:
    return render_report(small, tmp_path_factory.mktemp("hostile"))


def test_page_loads_nothing_from_outside(page: str) -> None:
    reader = Reader(page)
    assert {name for name, _ in reader.tags} & {
        "link",
        "iframe",
        "object",
        "embed",
        "base",
    } == set()
    for name, attrs in reader.tags:
        for key in ("src", "srcset", "poster", "data", "action", "background"):
            assert (attrs.get(key) or "data:").startswith("data:"), (name, attrs)
        assert (attrs.get("href") or "#").startswith("#"), (name, attrs)
    assert "@import" not in page and "url(" not in page
    assert re.search(r"https?://", page) is None


def test_embedded_pictures_load_nothing_either(page: str) -> None:
    pictures = re.findall(r"data:image/svg\+xml;base64,([A-Za-z0-9+/=]+)", page)
    assert len(pictures) > 15
    for content in pictures:
        drawing = base64.b64decode(content).decode()
        assert "<script" not in drawing
        assert all(link.startswith("#") for link in re.findall(r'href="([^"]*)"', drawing))
        assert "prefers-color-scheme: dark" in drawing


def test_policy_allows_only_the_one_script(page: str) -> None:
    reader = Reader(page)
    (policy,) = [
        attrs["content"] or ""
        for attrs in reader.find("meta")
        if attrs.get("http-equiv") == "Content-Security-Policy"
    ]
    (script,) = reader.scripts
    assert policy.startswith("default-src 'none'; img-src data:;")
    assert f"script-src '{hash_source(script)}'" in policy
    assert not any(key.startswith("on") or key == "style" for _, a in reader.tags for key in a)


def test_page_has_every_answer_number_and_command(page: str, study: StudyRecord) -> None:
    text = Reader(page).text
    assert "How well can cifar10 be told apart?" in text
    for step in study.steps.values():
        assert text.count(step.answer) >= 2
        if isinstance(step, ModelStep):
            assert say_estimate(step.test_score) in text
            assert say_estimate(step.val_score) in text
    for row in study.comparisons:
        assert row.sentence in text
    for look in study.ledger:
        assert look.cell in text
    assert study.command in text and "2.10.0" in text
    assert "<b>broken</b>" in text and "out of memory" in text
    assert "data:image/webp;base64," in page


def test_headline_is_the_best_on_val_not_on_test(study: StudyRecord, tmp_path: Path) -> None:
    transfer, baseline = study.steps["transfer"], study.steps["baseline"]
    assert isinstance(transfer, ModelStep) and isinstance(baseline, ModelStep)
    lucky = baseline.test_score.model_copy(update={"value": 0.99, "high": 0.995})
    steps = {
        "baseline": baseline.model_copy(update={"test_score": lucky}),
        "transfer": transfer,
    }
    text = Reader(render_report(study.model_copy(update={"steps": steps}), tmp_path)).text
    right = f"{100 * transfer.test_score.value:.1f} %"
    assert f"The best model, from transfer, is right on {right} of 1,000 test images" in text


def test_every_score_stands_beside_the_floor(page: str, study: StudyRecord) -> None:
    text = Reader(page).text
    assert "All scores on test" in text and "With 95 % intervals, of 1,000 images." in text
    for title in ("Balanced accuracy", "Macro F1", "Log loss", "Calibration error"):
        assert title in text
    for step in study.steps.values():
        if isinstance(step, ModelStep):
            loss, floor = step.test.scores["log_loss"], step.test.floor["log_loss"]
            for one in (loss, floor):
                assert re.search(rf"{one.value:.3f}\s*\({one.low:.3f} to {one.high:.3f}\)", text)
    assert "tell as much as" not in text, "no test image is a copy"


def test_where_classes_are_unequal_the_headline_says_balanced_accuracy(
    study: StudyRecord, tmp_path: Path
) -> None:
    step = study.steps["baseline"]
    assert isinstance(step, ModelStep)
    rows = [row.model_copy(update={"support": 100}) for row in step.test.per_class]
    rows[3] = rows[3].model_copy(update={"support": 40})
    balanced = studies.make_estimate(0.321, 1000)
    scores = step.test.scores | {"balanced_accuracy": balanced}
    update = {"per_class": tuple(rows), "scores": scores, "effective": 812.4}
    test = step.test.model_copy(update=update)
    steps = {"baseline": step.model_copy(update={"test": test})}
    text = Reader(render_report(study.model_copy(update={"steps": steps}), tmp_path)).text
    assert "from baseline, has a balanced accuracy of 32.1 % on 1,000 test images" in text
    assert f"It is right on {100 * step.test_score.value:.1f} % of all test images." in text
    assert "all of them tell as much as 812 do that are not" in text


def test_hostile_names_stay_text(hostile_page: str) -> None:
    reader = Reader(hostile_page)
    for name in studies.HOSTILE:
        assert name in reader.text
    assert "49" not in re.findall(r'<th scope="row">([^<]*)</th>', hostile_page)
    assert all((attrs["src"] or "").startswith("data:") for attrs in reader.find("img"))
    assert len(reader.find("script")) == 1 and len(reader.scripts) == 1
    assert not any("alert" in script for script in reader.scripts)


def test_notebook_protocol_is_marked(hostile_page: str, page: str, small: StudyRecord) -> None:
    assert is_optimistic(small)
    reader = Reader(hostile_page)
    marks = [attrs for attrs in reader.find("a") if attrs.get("class") == "mark"]
    models = sum(isinstance(step, ModelStep) for step in small.steps.values())
    assert len(marks) > 3 * models
    assert any(attrs.get("id") == "optimistic" for attrs in reader.find("dt"))
    honest = Reader(page)
    assert not [attrs for attrs in honest.find("a") if attrs.get("class") == "mark"]
    assert "optimistic" not in honest.text.lower()


def test_links_within_the_page_lead_somewhere(page: str, hostile_page: str) -> None:
    for source in (page, hostile_page):
        reader = Reader(source)
        ids = [attrs["id"] for _, attrs in reader.tags if "id" in attrs]
        assert len(ids) == len(set(ids))
        targets = {(attrs["href"] or "")[1:] for attrs in reader.find("a")}
        assert targets <= set(ids)


def test_page_can_be_read_without_eyes(page: str) -> None:
    reader = Reader(page)
    assert all(len(attrs.get("alt") or "") > 20 for attrs in reader.find("img"))
    assert all(attrs.get("scope") in ("row", "col") for attrs in reader.find("th"))
    assert len(reader.find("main")) == len(reader.find("h1")) == 1
    assert reader.find("html")[0]["lang"] == "en"


@pytest.mark.parametrize("only", [(), ("inspect",), ("conv",), ("inspect", "baseline", "transfer")])
def test_partial_studies_render(only: tuple[str, ...], tmp_path: Path) -> None:
    record = studies.make_study(studies.HOSTILE, only=only)
    reader = Reader(render_report(record, tmp_path))
    sections = {attrs.get("id") for attrs in reader.find("section")}
    assert sections & set(SECTIONS) == set(only)
    if not set(only) - {"inspect"}:
        assert ("no model was tested" if only else "no step of this study is done") in reader.text
        assert "Nothing was evaluated on the test split." in reader.text


def test_a_study_under_way_says_what_comes_and_what_was_left_out(tmp_path: Path) -> None:
    record = studies.make_study(only=("inspect", "baseline")).model_copy(
        update={"coming": ("search", "transfer"), "left_out": {"conv": "60 s would be needed."}}
    )
    text = Reader(render_report(record, tmp_path)).text
    assert "Still to come: Search, Transfer. This page is written again after every step." in text
    assert "Convolution size was left out: 60 s would be needed." in text
    assert "The study took 1 h 42 min of the 2 h 00 min it was given" in text


def test_each_step_says_what_it_was_given_and_took(page: str) -> None:
    text = Reader(page).text
    assert "Took 20 min 34 s of the 21 min 40 s it was given, and at most 1.5 GB of memory." in text
    assert "Took 1 min 30 s, and at most 700 MB of memory. The time did not suffice for: " in text


@pytest.mark.parametrize("step", ["conv", "search"])
def test_each_model_of_1000_classes_is_a_small_part_of_the_page(step: str, tmp_path: Path) -> None:
    """Five of them, and the samples, are to stay below 4 MB."""
    classes = tuple(f"class {number} of a kind" for number in range(1000))
    page = render_report(studies.make_study(classes, only=(step,)), tmp_path)
    assert len(page.encode()) < 750_000
    assert "The 200 classes of the lowest recall" in page


@pytest.mark.parametrize("samples", ["", "../secret.png", "gone.png", "text.png"])
def test_samples_come_from_the_folder_alone(
    samples: str, tmp_path: Path, study: StudyRecord
) -> None:
    folder = tmp_path / "study"
    write_bytes(tmp_path / "secret.png", studies.make_png())
    write_bytes(folder / "text.png", b"not a picture")
    step = study.steps["inspect"].model_copy(update={"samples": samples})
    record = study.model_copy(update={"steps": {"inspect": step}})
    assert "data:image/webp" not in render_report(record, folder)


def test_own_home_is_not_told(study: StudyRecord, tmp_path: Path) -> None:
    home = str(Path.home())
    record = study.model_copy(
        update={"command": f"tellapart study {home}/photos", "environment": {"python": home},
                "steps": {}}
    )  # fmt: skip
    page = render_report(record, tmp_path)
    assert "tellapart study ~/photos" in page and f"{home}/" not in page


def test_missing_results_are_named(tmp_path: Path) -> None:
    with pytest.raises(WorkspaceError, match=r"results\.json"):
        write_report(tmp_path)


def test_same_record_same_page_and_a_new_one_new_pictures(tmp_path: Path) -> None:
    record = studies.make_study(studies.HOSTILE, only=("baseline",))
    first = render_report(record, tmp_path)
    assert render_report(record, tmp_path) == first
    step = record.steps["baseline"]
    assert isinstance(step, ModelStep)
    test = studies.make_test(studies.HOSTILE, 0.3)
    changed = step.model_copy(update={"test": test})
    again = render_report(record.model_copy(update={"steps": {"baseline": changed}}), tmp_path)
    pictures = [Reader(page).find("img") for page in (first, again)]
    assert pictures[0][0] == pictures[1][0] and pictures[0][2] != pictures[1][2]


def test_report_loads_no_torch_and_no_pyplot() -> None:
    code = (
        "import sys, tellapart.report.page, tellapart.report.plots;"
        "assert 'tellapart.report.page' in sys.modules;"
        "print({'torch', 'timm', 'matplotlib', 'jinja2', 'numpy', 'PIL'} & set(sys.modules))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "set()"
