from __future__ import annotations

import re
from pathlib import Path

import pytest

import tellapart

CHANGES = Path(__file__).resolve().parents[1] / "CHANGELOG.md"


def test_the_public_list() -> None:
    assert sorted(tellapart.__all__) == [
        "Budget",
        "HeadSettings",
        "Look",
        "ModelSettings",
        "Rows",
        "Seal",
        "Space",
        "StudySettings",
        "SweepSettings",
        "Task",
        "TrainSettings",
        "TransferSettings",
        "__version__",
        "audit_images",
        "compare_models",
        "evaluate_model",
        "evaluate_run",
        "extract_features",
        "fit_head",
        "load_images",
        "make_split",
        "read_history",
        "run_search",
        "run_study",
        "run_sweep",
        "train_model",
        "write_report",
    ]


@pytest.mark.parametrize("name", [name for name in tellapart.__all__ if name != "__version__"])
def test_each_public_name_loads(name: str) -> None:
    found = getattr(tellapart, name)
    assert callable(found)
    assert found.__name__ == name
    assert found.__doc__


def test_an_unknown_name_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="no attribute 'run_studdy'"):
        tellapart.run_studdy  # noqa: B018  # the access is the test


def test_the_version_is_the_newest_in_the_changelog() -> None:
    assert re.fullmatch(r"\d+\.\d+\.\d+", tellapart.__version__)
    if not CHANGES.is_file():
        pytest.skip("no CHANGELOG.md")
    heading = re.search(r"^## \[?(\d+\.\d+\.\d+)", CHANGES.read_text("utf-8"), re.MULTILINE)
    assert heading is not None
    assert heading[1] == tellapart.__version__
