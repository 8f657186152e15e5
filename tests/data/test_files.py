import os
import shutil
import sys
from pathlib import Path

import numpy as np
import pytest

from tellapart.data.dataset import resize_dataset
from tellapart.data.files import FileSource
from tellapart.data.folder import load_folder
from tellapart.errors import DataError


def test_a_file_that_went_away_is_named(folder: Path) -> None:
    dataset = load_folder(folder)
    (folder / "1" / "2.png").unlink()
    assert dataset.source.read(np.array([2])).shape == (1, 20, 20, 3)
    with pytest.raises(DataError, match=r"2\.png"):
        dataset.source.read(np.array([2]), 64)


@pytest.mark.skipif(sys.platform == "win32", reason="no FIFO on Windows")
def test_a_file_that_became_a_fifo_is_refused(folder: Path) -> None:
    dataset = load_folder(folder, 0)
    (folder / "1" / "2.png").unlink()
    os.mkfifo(folder / "1" / "2.png")
    with pytest.raises(DataError, match=r"1/2\.png: not a regular file"):
        dataset.source.read(np.arange(12))


def test_a_file_that_changed_after_loading_is_refused(folder: Path) -> None:
    dataset = load_folder(folder, 0)
    shutil.copy(folder / "10" / "0.png", folder / "1" / "2.png")
    with pytest.raises(DataError, match=r"1/2\.png: its content has changed .*start again"):
        dataset.source.read(np.arange(12))
    with pytest.raises(DataError, match=r"1/2\.png"):
        resize_dataset(dataset, 32).source.read(np.array([2]))


def test_reading_nothing_gives_nothing(tmp_path: Path) -> None:
    assert FileSource([], [], 8, 3).read(np.array([], np.int64)).shape == (0, 8, 8, 3)
