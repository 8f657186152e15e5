"""Would more data help? Foreseen from half of the training images, and then looked at.

    python benchmarks/holdback.py digits --repeats 20
    python benchmarks/holdback.py cifar10 --data-dir FOLDER --images 8000 --epochs 8
    python benchmarks/holdback.py FOLDER --backbone W --repeats 20

A learning curve is trained on shares of half of the training images, three seeds each, and
`foresee` says what twice as many bring; then the whole is trained on, three seeds. Each repetition
has a split of its own. The model is the simple network, or a logistic head on a backbone's frozen
features. Prints a JSON line a repetition, and how often the interval held what came: as it was
seen, and within twice the standard error of that (seeds and val images).
"""

from __future__ import annotations

import argparse
import json
import tempfile
from pathlib import Path

import numpy as np

from tellapart.config import SplitSettings
from tellapart.data import load_images
from tellapart.data.dataset import Dataset, Indices
from tellapart.data.split import make_split
from tellapart.data.subset import take_share
from tellapart.metrics.intervals import pool_spread
from tellapart.metrics.learning import foresee
from tellapart.metrics.ranking import Images, draw_images
from tellapart.models import SimpleSettings
from tellapart.models.backbone import make_backbone
from tellapart.study.rules import plan_recipe
from tellapart.study.settings import StudySettings
from tellapart.train.checkpoint import read_choice
from tellapart.train.learner import Task
from tellapart.train.loop import Rows, train_model
from tellapart.transfer.features import extract_features
from tellapart.transfer.head import Examples, predict_head
from tellapart.transfer.logistic import fit_best
from tellapart.transfer.resources import Resources

SHARES = (1 / 32, 1 / 16, 1 / 8, 1 / 4, 1 / 2)
SEEDS = 3


def train_network(dataset: Dataset, rows: Rows, epochs: int | None, seed: int) -> Indices:
    """Return what the simple network makes of the watched images, trained as in a study."""
    settings, images = StudySettings(epochs=epochs), len(rows.train)
    recipe = plan_recipe(settings, "baseline", images, seed, SimpleSettings())
    with tempfile.TemporaryDirectory() as folder:
        run = train_model(dataset, rows, Task(SimpleSettings(), recipe), Path(folder) / "a" / "b")
        return read_choice(Path(folder) / "a" / "b", run.choice)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("data")
    parser.add_argument("--data-dir")
    parser.add_argument("--images", type=int, help="training images at most")
    parser.add_argument("--epochs", type=int, help="of each training [default: as in a study]")
    parser.add_argument("--backbone")
    parser.add_argument("--repeats", type=int, default=3)
    args = parser.parse_args()

    dataset = load_images(args.data, args.data_dir)
    examples = None
    if args.backbone:
        found = extract_features(dataset, make_backbone(args.backbone), Resources())
        examples = Examples(found.vectors, dataset.labels).hold()
    held = near = said = 0
    for repeat in range(args.repeats):
        split = make_split(dataset, SplitSettings(seed=repeat))
        pool = split.train
        if args.images and args.images < len(pool):
            pool = take_share(dataset, pool, args.images / len(pool), repeat)
        images = Images(dataset.labels[split.val], len(dataset.classes))

        def predict(
            share: float, seed: int, pool: Indices = pool, val: Indices = split.val
        ) -> Indices:
            rows = Rows(take_share(dataset, pool, share, seed), val, "val")
            if examples is None:
                return train_network(dataset, rows, args.epochs, seed)
            network = fit_best(examples, rows).network
            return np.asarray(predict_head(network, examples.vectors, rows.watch).argmax(1))

        seeds = range(100 * repeat, 100 * repeat + SEEDS)
        predicted = [{seed: predict(share, seed) for seed in seeds} for share in (*SHARES, 1.0)]
        scores = [
            [float((one == images.truth).mean()) for one in own.values()] for own in predicted
        ]
        sizes = [len(take_share(dataset, pool, share, 0)) for share in SHARES]
        chance = draw_images(images, predicted[:-1])
        seen = foresee(sizes, scores[:-1], len(pool) / sizes[-1], chance=chance)
        came = float(np.mean(scores[-1]) - np.mean(scores[-2]))
        line: dict[str, object] = {"repeat": repeat, "sizes": sizes, "came": came}
        if seen is not None and seen.gain is not None:
            said += 1
            held += seen.gain.low <= came <= seen.gain.high
            # what came was seen with few seeds, on few images: that has chance of its own
            by_images = draw_images(images, predicted[-2:])
            spread = pool_spread(scores[-2:])[0] ** 2 * 2 / SEEDS
            noise = 1.96 * float((np.diff(by_images, axis=1).var() + spread) ** 0.5)
            near += seen.gain.low - noise <= came <= seen.gain.high + noise
            line |= vars(seen.gain) | {"noise": noise}
        print(json.dumps(line), flush=True)
    print(
        f"{args.data}: held {held} of {said}, {near} within the chance of what was seen; "
        f"{args.repeats - said} not foreseen"
    )


if __name__ == "__main__":
    main()
