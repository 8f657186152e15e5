"""One image through every door: what a study says of its test, predict, ONNX, OpenVINO, serve.

    python benchmarks/agreement.py runs/trashnet-transfer-1 DATA/trashnet

The test images of a study of files are classified by each; printed is how many get the class that
the study gave them, and by how much a probability differs at most.
"""

from __future__ import annotations

import argparse
import csv
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
from starlette.testclient import TestClient

from tellapart import load_predictor
from tellapart.predict.export import export_model
from tellapart.predict.serve import make_app

Numbers = np.ndarray[Any, np.dtype[np.float32]]


def read_study(run: Path, temperature: float) -> tuple[list[str], Numbers]:
    """Return the names of the test images, and their probabilities, calibrated."""
    (path,) = run.glob("transfer/*/predictions.csv")
    with path.open(newline="") as stream:
        lines = list(csv.DictReader(stream))
    names = [name for name in lines[0] if name.startswith("p(")]
    shares = np.array([[float(line[name]) for name in names] for line in lines])
    softer = np.maximum(shares, 1e-30) ** (1 / temperature)
    return [line["file"] for line in lines], softer / softer.sum(1, keepdims=True)


def ask_server(run: Path, paths: list[Path]) -> Numbers:
    """Return what the server says of images."""
    predictor = load_predictor(run)
    found = []
    host = ("127.0.0.1", 1)
    with TestClient(make_app(predictor), "http://localhost", client=host) as client:
        for path in paths:
            files = {"images": (path.name, path.read_bytes(), "image/jpeg")}
            (one,) = client.post("/api/predict", files=files).json()["results"]
            shares = {each["class"]: each["probability"] for each in one["probabilities"]}
            found.append([shares[name] for name in predictor.classes])
    return np.array(found, np.float32)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("run", type=Path)
    parser.add_argument("data", type=Path)
    given = parser.parse_args()
    predictor = load_predictor(given.run)
    names, said = read_study(given.run, predictor.args.temperature)
    paths = [given.data / name for name in names]
    found = {"predict": predictor(paths).probabilities, "serve": ask_server(given.run, paths)}
    with TemporaryDirectory() as place:
        for form, ending in (("onnx", ".onnx"), ("openvino", ".xml")):
            (path, *_) = export_model(given.run, form, Path(place) / f"a{ending}").paths
            found[form] = load_predictor(path)(paths).probabilities
    for name, shares in found.items():
        same, gap = (shares.argmax(1) == said.argmax(1)).mean(), np.abs(shares - said).max()
        print(f"{name:<9} same class {100 * same:.2f} % of {len(names)}, within {gap:.2g}")


if __name__ == "__main__":
    main()
