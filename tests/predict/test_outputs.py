from __future__ import annotations

import csv
import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest

from tellapart.data.content import BytesContent
from tellapart.errors import SettingError
from tellapart.predict.answers import Answers
from tellapart.predict.inputs import Item
from tellapart.predict.outputs import Shown, check_output, list_rows, say_answers, write_answers

NAMES = ('=HYPERLINK("x")', "b,c.png", "+1.png", 'a "quoted".png', "d\ne.png", "ж.png")


@pytest.fixture
def answers() -> Answers:
    shares = np.array([[0.7, 0.2, 0.1], [0.1, 0.2, 0.7]] * 3, np.float32)
    none = np.zeros(6, bool)
    items = tuple(Item(name, BytesContent(b"")) for name in NAMES)
    return Answers(("@cat", "dog", "x"), items, shares, none, none)


def test_a_csv_file_is_safe_to_open(answers: Answers, tmp_path: Path) -> None:
    write_answers(tmp_path / "a.csv", [answers, answers], Shown(2, 0.5), answers.classes)
    with (tmp_path / "a.csv").open(newline="") as stream:
        rows = list(csv.reader(stream))
    assert rows[0][:7] == [
        "file", "predicted", "class", "probability", "unlike", "class_2", "probability_2",
    ]  # fmt: skip
    assert len(rows) == 13
    assert rows[1][:5] == ["'" + NAMES[0], "'@cat", "'@cat", "0.7", "no"]
    assert rows[2][0] == NAMES[1]
    assert not any(cell.startswith(("=", "+", "-", "@")) for row in rows for cell in row)


def test_parquet_and_json_hold_names_as_they_are(answers: Answers, tmp_path: Path) -> None:
    truth = list(list_rows(answers, Shown(3)))
    near = [{name: pytest.approx(value) for name, value in row.items()} for row in truth]
    write_answers(tmp_path / "a.parquet", [answers], Shown(3), answers.classes)
    assert pq.read_table(tmp_path / "a.parquet").to_pylist() == near
    write_answers(tmp_path / "a.json", [answers], Shown(3), answers.classes)
    assert json.loads((tmp_path / "a.json").read_text()) == truth
    write_answers(tmp_path / "a.jsonl", [answers], Shown(3), answers.classes)
    lines = (tmp_path / "a.jsonl").read_text().splitlines()
    assert [json.loads(line) for line in lines] == truth
    write_answers(tmp_path / "none.json", [], Shown(), ("a",))
    assert json.loads((tmp_path / "none.json").read_text()) == []


def test_what_is_less_sure_than_the_threshold_is_not_answered(answers: Answers) -> None:
    rows = list(list_rows(answers, Shown(1, 0.71)))
    assert {row["predicted"] for row in rows} == {None}
    assert "I don't know (@cat 70.0 %)" in next(say_answers(answers, Shown(1, 0.71)))
    assert "@cat 70.0 %  dog 20.0 %" in next(say_answers(answers, Shown(2)))


def test_an_unknown_ending_is_refused(tmp_path: Path) -> None:
    with pytest.raises(SettingError, match=r"did you mean '.csv'"):
        check_output(tmp_path / "a.cvs")


def test_a_failure_leaves_the_old_file(answers: Answers, tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("old")

    def break_off() -> Iterator[Answers]:
        yield answers
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        write_answers(tmp_path / "a.csv", break_off(), Shown(), ("a",))
    assert [path.name for path in tmp_path.iterdir()] == ["a.csv"]
    assert (tmp_path / "a.csv").read_text() == "old"


def test_nothing_but_failures_is_a_table_without_rows(tmp_path: Path) -> None:
    for name in ("a.csv", "a.parquet"):
        write_answers(tmp_path / name, [], Shown(), ("x", "y"))
    assert (tmp_path / "a.csv").read_text() == "file,predicted,class,probability,unlike,p(x),p(y)\n"
    assert pq.read_table(tmp_path / "a.parquet").num_rows == 0


def test_what_a_model_cannot_know_is_left_empty(answers: Answers, tmp_path: Path) -> None:
    unknown = replace(answers, unlike=None)
    assert {row["unlike"] for row in list_rows(unknown, Shown())} == {None}
    write_answers(tmp_path / "a.csv", [unknown], Shown(), answers.classes)
    assert ",0.7,,0.7," in (tmp_path / "a.csv").read_text()
