"""The reference study's two networks in Keras on TensorFlow, trained by its own recipe.

    .peers/bin/python benchmarks/peers/keras_reference.py FOLDER simple --epochs 15 --seed 0

FOLDER holds CIFAR-10's binary batches. All 50,000 training images, Adam at Keras's defaults,
batch 64, pixels / 255; after each epoch the accuracy on the official test images there are. Prints
one JSON line an epoch, and a last one with the best epoch, as the reference chose it.

The seed is for the first weights alone. With `keras.utils.set_random_seed` in force during `fit`,
Keras 3.15 on TensorFlow draws the same order of the images in every epoch, and generalises worse;
``--repeat-order`` does so, to measure it.

``--held-out 5`` trains on batches 1 to 4 and tests on the 10,000 images of batch 5. ``--images N``
trains on the first N images and tests nothing: for measurements of speed.
"""

import argparse
import json
import os
import resource
import time
from pathlib import Path
from typing import Any

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")

import keras
import numpy as np
import tensorflow as tf
from keras import layers


def read_batches(paths: list[Path]) -> tuple[Any, Any]:
    """Return (n, 32, 32, 3) uint8 images and (n,) labels of CIFAR-10's binary records."""
    records = np.concatenate([np.fromfile(path, np.uint8).reshape(-1, 3073) for path in paths])
    images = records[:, 1:].reshape(-1, 3, 32, 32).transpose(0, 2, 3, 1)
    return np.ascontiguousarray(images), records[:, 0].astype(np.int64)


def make_simple(width: int = 32, dense: int = 128) -> Any:
    """Return the notebook's simple network."""
    return keras.Sequential(
        [
            layers.Input((32, 32, 3)),
            layers.Conv2D(width, 3, activation="relu"),
            layers.MaxPooling2D(2),
            layers.Flatten(),
            layers.Dense(dense, activation="relu"),
            layers.Dense(10, activation="softmax", dtype="float32"),
        ]
    )


def make_deep() -> Any:
    """Return the notebook's best network from scratch."""
    return keras.Sequential(
        [
            layers.Input((32, 32, 3)),
            layers.Conv2D(32, 3, padding="same", activation="relu"),
            layers.MaxPooling2D(2),
            layers.Conv2D(64, 3, padding="same", activation="relu"),
            layers.MaxPooling2D(2),
            layers.Conv2D(128, 3, padding="same", activation="relu"),
            layers.GlobalAveragePooling2D(),
            layers.Dense(2048, activation="relu"),
            layers.Dense(10, activation="softmax", dtype="float32"),
        ]
    )


class Lines(keras.callbacks.Callback):  # type: ignore[misc]  # no types without the package
    """Print an epoch a line."""

    def on_epoch_begin(self, epoch: int, logs: Any = None) -> None:
        self.start = time.perf_counter()

    def on_epoch_end(self, epoch: int, logs: Any) -> None:
        row = {name: round(float(value), 5) for name, value in logs.items()}
        seconds = round(time.perf_counter() - self.start, 2)
        print(json.dumps({"epoch": epoch + 1, "seconds": seconds, **row}), flush=True)


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("folder", type=Path)
    parser.add_argument("network", choices=["simple", "deep"])
    parser.add_argument("--width", type=int, default=32)
    parser.add_argument("--dense", type=int, default=128)
    parser.add_argument("--epochs", type=int, default=15)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--policy", default="float32")
    parser.add_argument("--held-out", type=int, choices=[5])
    parser.add_argument("--images", type=int)
    parser.add_argument("--repeat-order", action="store_true")
    args = parser.parse_args()

    keras.utils.set_random_seed(args.seed)
    keras.mixed_precision.set_global_policy(args.policy)
    batches = [args.folder / f"data_batch_{i}.bin" for i in range(1, 6)]
    tests = sorted(args.folder.glob("test_batch*.bin"))
    if args.held_out:
        batches, tests = batches[:4], batches[4:]
    train, labels = read_batches(batches)
    test, truth = read_batches(tests)
    if args.images:
        train, labels = train[: args.images], labels[: args.images]
    network = make_simple(args.width, args.dense) if args.network == "simple" else make_deep()
    if not args.repeat_order:
        tf.random.set_seed(None)
    network.compile("adam", "sparse_categorical_crossentropy", metrics=["accuracy"])
    history = network.fit(
        train / np.float32(255),
        labels,
        batch_size=64,
        epochs=args.epochs,
        validation_data=None if args.images else (test / np.float32(255), truth),
        verbose=0,
        callbacks=[Lines()],
    ).history
    said = {"network": args.network, "seed": args.seed, "policy": args.policy}
    said["repeat_order"] = args.repeat_order
    said |= {"peak_mib": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024}
    if not args.images:
        best = int(np.argmax(history["val_accuracy"]))
        said |= {"best_epoch": best + 1, "best_accuracy": history["val_accuracy"][best]}
        said |= {"n": len(truth)}
    print(json.dumps(said))


if __name__ == "__main__":
    main()
