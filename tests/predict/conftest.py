"""A small study of digits that ended in a model; nobody writes there."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest
from filelock import FileLock
from PIL import Image

from tellapart.data.dataset import Dataset
from tellapart.predict.predictor import Predictor, load_predictor
from tellapart.study.settings import ComputeSettings, StudySettings
from tellapart.study.study import run_study


@pytest.fixture(scope="session")
def handed(shared: Path, digits: Dataset) -> Path:
    """The folder of a finished study with a network from scratch."""
    folder = shared / "handed" / "digits"
    with FileLock(shared / "handed.lock"):
        if not (folder.parent / "done").is_file():
            settings = StudySettings(
                epochs=3, steps=("baseline",), compute=ComputeSettings(device="cpu")
            )
            run_study(digits, settings, folder)
            (folder.parent / "done").touch()
    return folder


@pytest.fixture(scope="session")
def predictor(handed: Path) -> Predictor:
    return load_predictor(handed)


@pytest.fixture
def model(handed: Path, tmp_path: Path) -> Path:
    """A copy of the model's folder, to be altered."""
    return Path(shutil.copytree(handed / "model", tmp_path / "model"))


@pytest.fixture(scope="session")
def photos(shared: Path, digits: Dataset) -> Path:
    """A folder with 12 test images of three classes, by class, and a file that is no image."""
    folder = shared / "photos"
    with FileLock(shared / "photos.lock"):
        if not folder.is_dir():
            for name in ("0", "1", "7"):
                (folder / name).mkdir(parents=True)
                rows = np.flatnonzero(digits.labels == digits.classes.index(name))[-4:]
                for row, pixels in zip(rows, digits.source.read(rows), strict=True):
                    Image.fromarray(pixels[:, :, 0]).save(folder / name / f"{row}.png")
            (folder / "notes.txt").write_text("none")
    return folder


@pytest.fixture(scope="session")
def exported(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small model's folder with its ``m.onnx``, ``m.xml`` and ``m.bin``; nobody writes there."""
    from tellapart.predict.export import export_model  # here, for they load torch
    from tests.predict.models import GREY, SIMPLE, save_model

    folder = save_model(tmp_path_factory.mktemp("made") / "model", SIMPLE, GREY)
    for form, name in {"onnx": "m.onnx", "openvino": "m.xml"}.items():
        export_model(folder, form, folder / name)
    return folder


@pytest.fixture
def small(exported: Path, tmp_path: Path) -> Path:
    """A copy of that model's folder, in one called study."""
    place, others = tmp_path / "study" / "model", shutil.ignore_patterns("m.*")
    return Path(shutil.copytree(exported, place, ignore=others))
