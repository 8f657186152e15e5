"""Write what the embedded backbone comes to on other images into its card.

    tellapart transfer digits --backbone embedded --head logistic --folds 5 --out runs/card-digits
    tellapart transfer FOLDER --backbone embedded --head logistic --folds 5 --out runs/card-trashnet
    python benchmarks/card.py runs/card-digits runs/card-trashnet

The figures are those of the studies' records: a logistic head on frozen features, by five folds of
all images outside test, and on the test images.
"""

from __future__ import annotations

import argparse
from pathlib import Path

from tellapart.models.backbone import EMBEDDED, read_card
from tellapart.records import StudyRecord, TransferStep
from tellapart.workspace import read_record, write_json

CARD = Path(__file__).resolve().parent.parent / "src/tellapart/models/embedded.json"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("studies", nargs="+", type=Path)
    args = parser.parse_args()
    found = {}
    for folder in args.studies:
        record = read_record(folder / "results.json", StudyRecord)
        step = record.steps["transfer"]
        assert isinstance(step, TransferStep) and step.folds is not None, folder
        (backbone,) = step.backbones
        assert backbone.name == EMBEDDED and backbone.run.model == "logistic", folder
        found[record.data.name] = {
            "image_size": backbone.image_size,
            "folds": step.folds.count,
            "folds_accuracy": step.folds.backbones[0].accuracy.model_dump(),
            "test_accuracy": step.test_accuracy.model_dump(),
            "tellapart": record.version,
        }
        print(record.data.name, found[record.data.name])
    write_json(CARD, read_card() | {"transfer": found})


if __name__ == "__main__":
    main()
