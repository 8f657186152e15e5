"""A training leaves nothing behind: no collection of garbage is needed to free its memory."""

from __future__ import annotations

import gc
import weakref
from pathlib import Path

import numpy as np
import pytest

from tellapart.config import RecipeSettings, choose_recipe
from tellapart.data import load_images
from tellapart.data.dataset import Dataset, Indices
from tellapart.device import release_memory
from tellapart.errors import Hopeless
from tellapart.models import read_network
from tellapart.records import EpochRow
from tellapart.train.learner import Learner, Task, make_learner
from tellapart.train.loop import Rows, train_model

ROWS = Rows(np.arange(200), np.arange(200, 300))


@pytest.mark.parametrize("hopeless", [False, True])
@pytest.mark.parametrize("name", ["simple", "speed", "stages"])
def test_a_training_is_freed_without_a_collection(
    name: str, hopeless: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made: list[weakref.ref[object]] = []

    def note(dataset: Dataset, rows: Indices, task: Task) -> Learner:
        learner = make_learner(dataset, rows, task)
        made.extend(weakref.ref(part) for part in (learner.network, learner.optimizer))
        return learner

    def watch(row: EpochRow) -> None:
        if hopeless:
            raise Hopeless("enough")

    monkeypatch.setattr("tellapart.train.loop.make_learner", note)
    asked = RecipeSettings(augment="flip+shift", averaging=0.5)
    recipe = choose_recipe(read_network(name).recipe, asked).model_copy(
        update={"epochs": 2, "augment": "flip+shift"}
    )
    gc.collect()
    gc.disable()
    try:
        task = Task(read_network(name), recipe)
        try:
            train_model(load_images("digits"), ROWS, task, tmp_path, watch)
        except Hopeless:
            assert hopeless
            release_memory()  # what a GPU recorded goes before the next recording
        assert len(made) == 2
        assert [part() for part in made] == [None, None]
    finally:
        gc.enable()
