"""What README says of the model of ``make study``, as it stands there."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import pytest

from tellapart.cli import main

ROOT = Path(__file__).resolve().parents[2]


def test_the_lines_of_the_readme_run(
    handed: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    said = (ROOT / "README.md").read_text(encoding="utf-8")
    lines = re.findall(r"^    \.venv/bin/(tellapart .*)$", said, re.MULTILINE)
    assert [line.split()[1] for line in lines] == ["predict", "export"]
    study = tmp_path / "runs" / "digits-study-1"
    study.mkdir(parents=True)
    (study / "model").mkdir()
    for path in (handed / "model").glob("*.*"):
        (study / "model" / path.name).write_bytes(path.read_bytes())
    (tmp_path / "docs").symlink_to(ROOT / "docs")
    monkeypatch.chdir(tmp_path)
    for line in lines:
        assert main(shlex.split(line)[1:]) == 0
    out = capsys.readouterr().out
    assert "docs/digits/0.png  0 " in out
    assert "5 images: " in out
    assert (study / "model" / "digits-study-1.onnx").is_file()
