"""The reference study's step 6 in Keras on TensorFlow: a frozen base that runs in every epoch.

    .peers/bin/python benchmarks/peers/keras_transfer.py FOLDER --steps 100

FOLDER holds CIFAR-10's binary batches. Images are resized to 224 px as they are needed, so that
they fit into memory, which the reference's 28 GB of arrays did not; else it is the reference's:
random flip, translation 0.2, rotation 0.2 and zoom 0.2, frozen MobileNetV2, 2,048 units, batch 64.
Weights are random: they have no say in the time. Prints one JSON line: seconds a step (the first
is not counted), the steps of 100 epochs of 50,000 images, the hours these take, and peak memory.
"""

import argparse
import json
import os
import resource
import time
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")

import keras
import numpy as np
import tensorflow as tf
from keras import layers

BATCH, EPOCHS, IMAGES = 64, 100, 50_000


def make_model() -> keras.Model:
    """Return the frozen base between the augmentation and the trained head."""
    base = keras.applications.MobileNetV2((224, 224, 3), include_top=False, weights=None)
    base.trainable = False
    inputs = layers.Input((224, 224, 3))
    seen = layers.RandomFlip("horizontal")(inputs)
    seen = layers.RandomTranslation(0.2, 0.2)(seen)
    seen = layers.RandomRotation(0.2)(seen)
    seen = layers.RandomZoom(0.2)(seen)
    features = layers.GlobalAveragePooling2D()(base(seen, training=False))
    hidden = layers.Dense(2048, activation="relu")(features)
    model = keras.Model(inputs, layers.Dense(10, activation="softmax", dtype="float32")(hidden))
    model.compile("adam", "sparse_categorical_crossentropy", metrics=["accuracy"])
    return model


class Clock(keras.callbacks.Callback):  # type: ignore[misc]  # untyped where it is not installed
    """Keeps when each step ended."""

    def __init__(self) -> None:
        super().__init__()
        self.ends: list[float] = []

    def on_train_batch_end(self, batch: int, logs: object = None) -> None:
        self.ends.append(time.perf_counter())


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("--steps", type=int, default=100)
    parser.add_argument("--policy", default="float32", choices=["float32", "mixed_bfloat16"])
    args = parser.parse_args()
    keras.mixed_precision.set_global_policy(args.policy)
    records = np.fromfile(args.folder / "data_batch_1.bin", np.uint8).reshape(-1, 3073)
    images = np.ascontiguousarray(records[:, 1:].reshape(-1, 3, 32, 32).transpose(0, 2, 3, 1))
    labels = records[:, 0].astype(np.int64)

    def prepare(image: tf.Tensor, label: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        return tf.image.resize(tf.cast(image, tf.float32), (224, 224)) / 127.5 - 1, label

    data = tf.data.Dataset.from_tensor_slices((images, labels)).repeat().batch(BATCH)
    data = data.map(prepare, num_parallel_calls=tf.data.AUTOTUNE).prefetch(tf.data.AUTOTUNE)
    clock = Clock()
    make_model().fit(data, epochs=1, steps_per_epoch=args.steps + 1, callbacks=[clock], verbose=0)
    seconds = np.diff(clock.ends)
    steps = EPOCHS * -(-IMAGES // BATCH)
    print(
        json.dumps(
            {
                "policy": args.policy,
                "steps": len(seconds),
                "seconds_a_step": float(np.median(seconds)),
                "least": float(seconds.min()),
                "most": float(seconds.max()),
                "steps_in_all": steps,
                "hours": float(seconds.mean() * steps / 3600),
                "peak_mib": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
            }
        )
    )


if __name__ == "__main__":
    main()
