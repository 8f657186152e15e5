"""Whether the learning rate should fall with the batch size: digits, batches of 32.

    python benchmarks/rates.py

Each network is trained with its recipe's rate, made for batches of 128, and with half of it, as the
square-root rule would have it; accuracy on val after the last epoch.
"""

from __future__ import annotations

import tempfile
from pathlib import Path

import numpy as np

from tellapart.data.digits import load_digits
from tellapart.data.split import make_split
from tellapart.models import NetworkSettings, SimpleSettings, SpeedSettings
from tellapart.train.learner import Task
from tellapart.train.loop import Rows, train_model

SEEDS = 8
CASES: tuple[tuple[NetworkSettings, dict[str, object]], ...] = (
    (SimpleSettings(), {"epochs": 40}),
    (SpeedSettings(width=16, convs=2), {"epochs": 15, "augment": "shift"}),
)


def main() -> None:
    digits = load_digits()
    split = make_split(digits)
    rows = Rows(split.train, split.val)
    for model, own in CASES:
        for factor in (1.0, 0.5):
            found = []
            for seed in range(SEEDS):
                changed = own | {"batch_size": 32, "lr": factor * model.recipe.lr, "seed": seed}
                recipe = model.recipe.model_copy(update=changed)
                with tempfile.TemporaryDirectory() as folder:
                    run = train_model(digits, rows, Task(model, recipe, "cpu"), Path(folder))
                found.append(100 * run.history[-1].val_accuracy)
            spread = np.std(found, ddof=1)
            print(
                f"{model.name}, lr {recipe.lr:g}: val {np.mean(found):.2f} % (sd {spread:.2f}, "
                f"{SEEDS} seeds, {len(rows.watch)} images)"
            )


if __name__ == "__main__":
    main()
