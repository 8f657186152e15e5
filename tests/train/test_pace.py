from __future__ import annotations

import numpy as np

from tellapart.config import TrainSettings
from tellapart.data.dataset import Dataset
from tellapart.models import SimpleSettings
from tellapart.train.learner import Task
from tellapart.train.pace import measure_task


def test_the_pace_is_that_of_this_network(digits: Dataset) -> None:
    rows = np.arange(256)
    recipe = TrainSettings(batch_size=64)
    small = measure_task(digits, rows, Task(SimpleSettings(width=2, dense=8), recipe, "cpu"))
    large = measure_task(digits, rows, Task(SimpleSettings(width=512, dense=512), recipe, "cpu"))
    assert 0 < small < large


def test_fewer_images_than_a_batch_are_enough(digits: Dataset) -> None:
    recipe = TrainSettings(batch_size=64)
    assert measure_task(digits, np.arange(3), Task(SimpleSettings(), recipe, "cpu")) > 0
