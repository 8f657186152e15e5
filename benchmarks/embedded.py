"""Train the backbone that the package embeds, and write it with its card.

    python benchmarks/embedded.py --data-dir FOLDER --out runs/embedded

Trains on the train part of CIFAR-10 under the default split, chooses the epoch on val, and looks
at the test images once. What the package keeps is the trunk (convolutions and norms, without the
classifier) in half precision.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import torch
from safetensors.torch import save

from tellapart import __version__
from tellapart.config import RECIPES, make_network_settings
from tellapart.data import load_images
from tellapart.data.split import make_split
from tellapart.evaluate import Look, Seal, evaluate_model, predict_run
from tellapart.models.speednet import make_speed_trunk
from tellapart.plan.rules import scale_rate
from tellapart.train.checkpoint import BEST, read_weights
from tellapart.train.learner import Task
from tellapart.train.loop import train_model
from tellapart.workspace import write_bytes, write_json

MODEL = make_network_settings("speed", width=64)
PACKAGE = Path(__file__).resolve().parent.parent / "src" / "tellapart" / "models"


def write_trunk(folder: Path, weights: str, size: int) -> int:
    """Write the trunk of a trained network into the package; return its number of features."""
    trunk, features = make_speed_trunk(MODEL, 3, size)
    state = read_weights(folder / BEST, weights)
    kept = {
        name: state[name].to(torch.float16)
        for name in trunk.state_dict()
        if not name.endswith("num_batches_tracked")
    }
    write_bytes(PACKAGE / "embedded.safetensors", save(kept))
    return features


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data-dir", type=Path)
    parser.add_argument("--out", type=Path, default=Path("runs/embedded"))
    parser.add_argument("--epochs", type=int, default=10)
    parser.add_argument("--batch", type=int, default=256)
    args = parser.parse_args()

    dataset = load_images("cifar10", args.data_dir)
    split = make_split(dataset)
    seal = Seal(dataset, split, args.out)
    recipe = scale_rate(RECIPES["speed"], args.batch)
    recipe = recipe.model_copy(update={"epochs": args.epochs, "augment": "flip+shift"})
    folder = args.out / "train" / "embedded"
    run = train_model(
        dataset,
        seal.open_rows("holdout", "train"),
        Task(MODEL, recipe),
        folder,
        lambda row: print(row.epoch, f"{row.seconds:.0f} s", f"{row.val_accuracy:.4f}", flush=True),
    )
    look = Look("train", "embedded", "accuracy for the card of the embedded backbone")
    test = evaluate_model(seal, look, predict_run(dataset, folder, "auto", run), folder)

    features = write_trunk(folder, run.weights, dataset.image_size)
    card = {
        "name": "embedded",
        "license": "apache-2.0",
        "image_size": dataset.image_size,
        "features": features,
        "model": MODEL.model_dump(include={"name", "width", "convs"}),
        "trained_on": "CIFAR-10, 45,000 training images (default split, seed 0)",
        "recipe": recipe.model_dump(),
        "command": (
            "python benchmarks/embedded.py --data-dir FOLDER "
            f"--epochs {args.epochs} --batch {args.batch}"
        ),
        "mirror_images_averaged": recipe.mirrors,
        "best_epoch": run.best_epoch,
        "seconds": round(run.seconds),
        "val_accuracy": run.val_accuracy.model_dump(),
        "test_accuracy": test.accuracy.model_dump(),
        "test_images": "the first 1,000 official test images",
        "tellapart": __version__,
    }
    write_json(PACKAGE / "embedded.json", card)
    print("val", run.val_accuracy, "test", test.accuracy)


if __name__ == "__main__":
    main()
