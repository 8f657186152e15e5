"""What each step says of itself, from its record alone; and a step that nobody knew before."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any, Literal

import pytest
from pydantic import ValidationError

from tellapart.records import (
    BaselineStep,
    EpochRow,
    InspectStep,
    ModelStep,
    RunRecord,
    SearchStep,
    StepRecord,
    StudyRecord,
    TransferStep,
    TunedRecord,
)
from tellapart.report.page import render_report
from tellapart.report.sections import SECTIONS
from tellapart.report.sections.inspect import plot_counts
from tellapart.report.sections.model import say_fit, say_network
from tellapart.report.sections.section import Section
from tests.report import studies


def change(record: Any, **fields: Any) -> Any:
    return record.model_copy(update=fields)


def answer(study: StudyRecord, name: str, step: StepRecord | None = None) -> str:
    return SECTIONS[name].answer(step or study.steps[name], study.data.classes)


def make_trained(augment: str, last: tuple[float, float], loss: float = 0.5) -> RunRecord:
    """A run of two epochs, of which the last had these accuracies in training and on val."""
    history = tuple(
        EpochRow.model_construct(
            epoch=number, seconds=1.0, lr=1e-3, loss=0.5, accuracy=accuracy, val_loss=loss,
            val_accuracy=val, val_score=val,
        )
        for number, (accuracy, val) in enumerate([(0.5, 0.9), last], start=1)
    )  # fmt: skip
    run = studies.make_run(0.9, {"augment": augment})
    return run.model_copy(update={"history": history, "best_epoch": 1})


@pytest.mark.parametrize("name", [name for name in SECTIONS if name != "dense"])
def test_every_step_says_and_draws_itself(name: str, study: StudyRecord, tmp_path: Path) -> None:
    step, section = study.steps[name], SECTIONS[name]
    assert answer(study, name).endswith(".")
    pictures = section.embed(step, study.data.classes, tmp_path)
    assert all(address.startswith("data:image/svg+xml;base64,") for address in pictures.values())
    section.draw(step, tmp_path)
    files = {path.name for path in tmp_path.iterdir()}
    assert files == {f"{plot}.{kind}" for plot in section.plots for kind in ("png", "svg")}


def test_answers_have_the_numbers(study: StudyRecord) -> None:
    for name, step in study.steps.items():
        if isinstance(step, ModelStep):
            assert f"{100 * step.test_score.value:.1f} % (" in answer(study, name)
    assert "stands in a split before theirs too: 1." in answer(study, "inspect")
    assert "(1,074,122 parameters)" in answer(study, "baseline")
    assert "3 seeds a size, 1 min 18 s a training" in answer(study, "conv")
    assert "(2 failed)" in answer(study, "search")


def test_another_score_is_called_by_its_name(study: StudyRecord, tmp_path: Path) -> None:
    step: BaselineStep = change(
        study.steps["baseline"],
        run=studies.make_run(0.62, {}, metric="balanced_accuracy"),
        test=change(study.steps["baseline"].test, metric="balanced_accuracy"),  # type: ignore[attr-defined]  # a baseline
    )
    said = answer(study, "baseline", step)
    assert re.search(r"gets a balanced accuracy of \d\d\.\d % \(.*\) on the test images", said)
    record = change(study, metric="balanced_accuracy", steps={"baseline": step})
    page = render_report(record, tmp_path)
    assert "has a balanced accuracy of" in page and "Balanced accuracy on val" in page
    assert "Always answering" not in page


def test_the_augmentation_is_said() -> None:
    plain = say_network(studies.make_run(0.9, {}))
    assert "augmentation" not in plain
    said = say_network(studies.make_run(0.9, {"augment": "flip+shift"}))
    assert said == f"{plain}, flip+shift augmentation"


@pytest.mark.parametrize(
    ("augment", "last", "said"),
    [
        ("flip", (0.9, 0.89), "it does not overfit"),
        ("flip", (0.99, 0.89), "10 points better .*: it overfits.*more images.$"),
        ("none", (0.99, 0.89), "it overfits.*tellapart train --augment standard"),
        ("flip+cutmix", (0.6, 0.89), "mixed, so their accuracy cannot show whether it overfits"),
        ("mixup", (0.99, 0.89), "10 points better .*: it overfits"),
    ],
)
def test_mixed_images_do_not_show_that_nothing_overfits(
    augment: str, last: tuple[float, float], said: str
) -> None:
    assert re.search(said, say_fit(make_trained(augment, last), ""))


@pytest.mark.parametrize("loss", [3e12, float("inf"), float("nan")])
def test_an_exploded_loss_is_no_good_fit(loss: float) -> None:
    said = say_fit(make_trained("none", (0.33, 0.33), loss), "")
    assert "does not overfit" not in said and "smaller --lr" in said


@pytest.mark.parametrize("name", ["baseline", "conv", "search", "transfer"])
def test_a_model_no_better_than_one_answer_has_learnt_nothing(
    name: str, study: StudyRecord
) -> None:
    step = study.steps[name]
    assert isinstance(step, ModelStep)
    assert "no better than always answering" not in answer(study, name)
    low = change(step.test, scores={"accuracy": studies.make_estimate(0.09, 1000)})
    said = answer(study, name, change(step, test=low, test_score=low.score))
    assert "no better than always answering 'airplane'" in said
    assert "does not overfit" not in said


def test_choosing_the_epoch_on_test_is_set_against_an_epoch_that_nothing_chose(
    small: StudyRecord, study: StudyRecord
) -> None:
    step = small.steps["conv"]
    assert isinstance(step, ModelStep) and step.honest_score is not None
    honest = f"which nothing chose, gets {100 * step.honest_score.value:.1f} %."
    assert honest in answer(small, "conv") and "optimistic" in answer(small, "conv")
    assert "optimistic" not in answer(study, "conv")


def test_a_confirmed_score_says_how_much_was_luck(study: StudyRecord) -> None:
    sentence = answer(study, "search")
    assert "77.6 % on val" in sentence and "3 fresh seeds" in sentence
    assert "How much of the score was luck they cannot tell (-0.7 to 1.7 points)." in sentence
    step = study.steps["search"]
    assert isinstance(step, SearchStep)
    sure = change(step, confirmation=change(step.confirmation, luck=0.012, low=0.004, high=0.02))
    assert "So luck made 1.2 points of the score (0.4 to 2.0 points)." in answer(
        study, "search", sure
    )


@pytest.mark.parametrize(("depth", "layers"), [("last", "its last layers"), ("all", "all its")])
def test_fine_tuning_is_told_beside_the_frozen_head(
    depth: Literal["last", "all"], layers: str, study: StudyRecord, tmp_path: Path
) -> None:
    step = study.steps["transfer"]
    assert isinstance(step, TransferStep)
    tuned = TunedRecord(
        depth=depth, run=step.run, frozen=step.backbones[0].run, score=step.test_score,
        frozen_score=studies.make_estimate(0.8, 1000), comparison=study.comparisons[0], kept=True,
    )  # fmt: skip
    step = change(step, tuned=tuned)
    said = answer(study, "transfer", step)
    assert f"gets {100 * 0.8:.1f} % (" in said and f"Fine-tuned ({layers}" in said
    page = render_report(change(study, steps={"transfer": step}), tmp_path)
    assert "Frozen or fine-tuned" in page


class ToyStep(StepRecord):
    step: Literal["toy"] = "toy"
    colour: str


@pytest.mark.parametrize("own", [False, True])
def test_a_new_step_is_one_entry(
    own: bool, study: StudyRecord, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    inspected = study.steps["inspect"]
    assert isinstance(inspected, InspectStep)
    template = tmp_path / "toy.html"
    template.write_text("<p>Its colour is <b>{{ step.colour }}</b>.</p>")
    toy = Section(
        title="Toy",
        question="Which colour?",
        answer=lambda step, classes: f"{step.colour} of {len(classes)}.",
        plots={"colours_of_all": lambda step: plot_counts(inspected)},
        template=template if own else None,
    )
    monkeypatch.setitem(SECTIONS, "toy", toy)
    step = ToyStep(colour="<i>red</i>", cut=("blue",), seconds=3.0, given=9.0)
    step = change(step, answer=toy.answer(step, study.data.classes))
    record = StudyRecord.model_validate(change(study, steps={"toy": step}).model_dump(mode="json"))
    page = render_report(record, tmp_path)
    assert page.count("&lt;i&gt;red&lt;/i&gt; of 10.") == 3  # the headline, the answers, the step
    assert "Toy</h2>" in page and page.count("Which colour?") == 2
    assert "Took 3.0 s of the 9.0 s it was given. The time did not suffice for: blue." in page
    assert ("Its colour is <b>&lt;i&gt;red&lt;/i&gt;</b>." in page) == own
    assert ("A figure of this step, called colours of all." in page) != own


def test_a_step_of_no_known_kind_is_refused(study: StudyRecord) -> None:
    plain = study.model_dump(mode="json") | {"steps": {"x": {"step": "nosuch"}}}
    with pytest.raises(ValidationError, match="no step is called 'nosuch'"):
        StudyRecord.model_validate(plain)
