"""The reference study's best network, trained as a tutorial on PyTorch would.

    python benchmarks/peers/textbook.py FOLDER --images 20000 --epochs 2

FOLDER holds CIFAR-10's binary batches. A ``Dataset`` that turns one image at a time into a float
tensor, a shuffling ``DataLoader``, float32, Adam at 1e-3, batch 64; loss and accuracy are read at
each step. Prints one JSON line an epoch, and a last one with the peak memory.
"""

from __future__ import annotations

import argparse
import json
import resource
import time
from pathlib import Path

import numpy as np
import torch
from torch import nn
from torch.utils.data import DataLoader, Dataset


class Cifar(Dataset[tuple[torch.Tensor, int]]):
    """Images of the binary batches, one at a time."""

    def __init__(self, folder: Path, images: int) -> None:
        paths = [folder / f"data_batch_{number}.bin" for number in range(1, 6)]
        records = np.concatenate([np.fromfile(path, np.uint8).reshape(-1, 3073) for path in paths])
        self.records = records[:images]

    def __len__(self) -> int:
        return len(self.records)

    def __getitem__(self, row: int) -> tuple[torch.Tensor, int]:
        record = self.records[row]
        image = torch.from_numpy(record[1:].reshape(3, 32, 32)).float() / 255
        return image, int(record[0])


def make_deep() -> nn.Sequential:
    """Return the network."""
    layers: list[nn.Module] = []
    for inputs, outputs in ((3, 32), (32, 64), (64, 128)):
        layers += [nn.Conv2d(inputs, outputs, 3, padding=1), nn.ReLU()]
        if outputs < 128:
            layers.append(nn.MaxPool2d(2))
    layers += [nn.AdaptiveAvgPool2d(1), nn.Flatten()]
    layers += [nn.Linear(128, 2048), nn.ReLU(), nn.Linear(2048, 10)]
    return nn.Sequential(*layers)


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("folder", type=Path)
    parser.add_argument("--images", type=int, default=50_000)
    parser.add_argument("--epochs", type=int, default=2)
    parser.add_argument("--workers", type=int, default=0)
    args = parser.parse_args()

    torch.manual_seed(0)
    data = Cifar(args.folder, args.images)
    loader = DataLoader(data, batch_size=64, shuffle=True, num_workers=args.workers)
    network = make_deep()
    optimizer = torch.optim.Adam(network.parameters(), lr=1e-3)
    criterion = nn.CrossEntropyLoss()
    for epoch in range(args.epochs):
        start, loss_sum, right = time.perf_counter(), 0.0, 0
        for images, labels in loader:
            optimizer.zero_grad()
            logits = network(images)
            loss = criterion(logits, labels)
            loss.backward()
            optimizer.step()
            loss_sum += loss.item() * len(labels)
            right += int((logits.argmax(1) == labels).sum().item())
        row = {"epoch": epoch + 1, "seconds": round(time.perf_counter() - start, 2)}
        row |= {"loss": loss_sum / len(data), "accuracy": right / len(data)}
        print(json.dumps(row), flush=True)
    print(json.dumps({"peak_mib": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024}))


if __name__ == "__main__":
    main()
