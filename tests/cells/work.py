"""Small cells, and what they are trained on."""

from __future__ import annotations

from pathlib import Path

from tellapart.cells.cell import CellContext, NetworkCell
from tellapart.cells.reporter import Reporter
from tellapart.config import TrainSettings
from tellapart.data.digits import load_digits
from tellapart.data.split import make_split
from tellapart.evaluate import Seal
from tellapart.models import SimpleSettings


def make_context(folder: Path, reporter: Reporter | None = None) -> CellContext:
    digits = load_digits()
    seal = Seal(digits, make_split(digits), folder)
    reporter = reporter or Reporter()
    return CellContext(dataset=digits, seal=seal, folder=folder, reporter=reporter, device="cpu")


def make_cell(seed: int = 0, lr: float = 3e-3, epochs: int = 2) -> NetworkCell:
    """Return a small training with one thread, of which each executor makes the same."""
    recipe = TrainSettings(epochs=epochs, seed=seed, lr=lr, batch_size=128)
    model = SimpleSettings(width=4, dense=8)
    return NetworkCell("conv", f"seed-{seed}", model, recipe, threads=1)
