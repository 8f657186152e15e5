"""Records of trainings that were never done: what a fake objective answers."""

from __future__ import annotations

from tellapart.config import TrainSettings, hash_settings
from tellapart.metrics.intervals import estimate_proportion
from tellapart.models import NetworkSettings
from tellapart.records import RunRecord

N = 1000


def make_run(model: NetworkSettings, recipe: TrainSettings, accuracy: float) -> RunRecord:
    cell = f"cell-{hash_settings(model, recipe)}"
    estimate = estimate_proportion(round(accuracy * N), N)
    return RunRecord(
        cell=cell,
        folder=f"search/{cell}",
        model=model.name,
        label=model.label,
        description=model.description,
        settings=model.model_dump() | recipe.model_dump(),
        seed=recipe.seed,
        parameters=1000 * model.model_dump().get("width", 1),
        best_epoch=recipe.epochs,
        chosen_on="val",
        seconds=1.5,
        peak_memory_mb=100.0,
        device="cpu",
        precision="float32",
        val_accuracy=(found := estimate.model_copy(update={"value": accuracy})),
        val_score=found,
        history=(),
        weights="",
    )
