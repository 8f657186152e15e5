from __future__ import annotations

import pydoc
import re
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import tellapart
from tellapart.errors import SettingError

CHANGES = Path(__file__).resolve().parents[1] / "CHANGELOG.md"


@pytest.fixture
def write_photos() -> Callable[[Path], Path]:
    """Writes two classes of noise, 12 images each."""

    def write(folder: Path) -> Path:
        draw = np.random.default_rng(0)
        for name in ("cats", "dogs"):
            (folder / name).mkdir(parents=True)
            for number in range(12):
                pixels = draw.integers(0, 256, (16, 16, 3), np.uint8)
                Image.fromarray(pixels).save(folder / name / f"{number}.png")
        return folder

    return write


def test_the_public_list() -> None:
    assert sorted(tellapart.__all__) == [
        "Budget",
        "ComputeSettings",
        "HeadSettings",
        "Look",
        "ReadSettings",
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
        "compare_predictions",
        "evaluate_model",
        "evaluate_run",
        "extract_features",
        "fit_head",
        "load_images",
        "load_predictor",
        "make_network_settings",
        "make_split",
        "plan_study",
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


def test_dir_and_help_list_the_public_names() -> None:
    assert dir(tellapart) == sorted(tellapart.__all__)
    said = pydoc.plain(pydoc.render_doc(tellapart))
    for name in set(tellapart.__all__) - {"__version__"}:
        assert name in said
    assert "load_images(data: 'str | Path" in said


def test_folders_are_str_or_path_and_reprs_are_short(
    tmp_path: Path, write_photos: Callable[[Path], Path]
) -> None:
    photos = write_photos(tmp_path / "photos")
    data = tellapart.load_images(photos)
    assert data.fingerprint == tellapart.load_images(str(photos)).fingerprint
    settings = tellapart.StudySettings(
        steps=("inspect", "baseline"),
        epochs=1,
        model=tellapart.make_network_settings("simple", width=4, dense=8),
    )
    folder = str(tmp_path / "study")
    record = tellapart.run_study(data, settings, folder)
    assert tellapart.read_history(folder)[0].epochs == (1,)
    (model,) = tellapart.evaluate_run(data, folder).models
    assert model.step == "baseline"
    assert tellapart.write_report(folder) == tmp_path / "study" / "report.html"
    again = str(tmp_path / "again")
    tellapart.run_study(data, settings.model_copy(update={"seed": 1}), again)
    assert len(tellapart.compare_models([folder, again]).runs) == 2
    files = [next(Path(one).rglob("predictions.csv")) for one in (folder, again)]
    assert len(tellapart.compare_predictions(files).models) == 2
    parts = [data, record, *record.steps.values(), record.data]
    assert all(len(shown) <= 300 for part in parts for shown in (repr(part), str(part)))
    assert repr(data) == "Dataset('photos': 24 images of 2 classes, 16 px, 3 channels)"
    assert repr(record).startswith("StudyRecord(version='")


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


def test_a_study_of_no_dataset_is_refused_in_a_line(tmp_path: Path) -> None:
    with pytest.raises(SettingError, match=r"takes a Dataset, as load_images .* got 'photos'"):
        tellapart.run_study("photos", tellapart.StudySettings(), tmp_path)  # type: ignore[arg-type]  # the test
    assert list(tmp_path.iterdir()) == []
