"""tellapart: how well can your images be told apart?

    from tellapart import StudySettings, load_images, run_study

    photos = load_images("photos/")  # class folders; or a table, an archive, arrays
    record = run_study(photos, StudySettings(minutes=15), "runs/photos")
    print(record.steps["transfer"].answer)  # and runs/photos/report.html has it all

The public functions are loaded on first use, so that ``import tellapart`` is quick.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from tellapart.audit import audit_images
    from tellapart.config import HeadSettings, ReadSettings, TrainSettings
    from tellapart.data import load_images
    from tellapart.data.split import make_split
    from tellapart.evaluate import Look, Seal, evaluate_model
    from tellapart.models import Space, make_network_settings
    from tellapart.predict.predictor import load_predictor
    from tellapart.report.page import write_report
    from tellapart.search.optimize import Budget, run_search
    from tellapart.search.sweep import run_sweep
    from tellapart.study.compare import compare_models
    from tellapart.study.evaluate import evaluate_run
    from tellapart.study.history import read_history
    from tellapart.study.predictions import compare_predictions
    from tellapart.study.settings import (
        ComputeSettings,
        StudySettings,
        SweepSettings,
        TransferSettings,
    )
    from tellapart.study.study import plan_study, run_study
    from tellapart.train.learner import Task
    from tellapart.train.loop import Rows, train_model
    from tellapart.transfer.features import extract_features
    from tellapart.transfer.head import fit_head

__version__ = "0.1.0"

_HOMES = {
    "Budget": "tellapart.search.optimize",
    "ComputeSettings": "tellapart.study.settings",
    "HeadSettings": "tellapart.config",
    "Look": "tellapart.evaluate",
    "ReadSettings": "tellapart.config",
    "Rows": "tellapart.train.loop",
    "Seal": "tellapart.evaluate",
    "Space": "tellapart.models",
    "StudySettings": "tellapart.study.settings",
    "SweepSettings": "tellapart.study.settings",
    "Task": "tellapart.train.learner",
    "TrainSettings": "tellapart.config",
    "TransferSettings": "tellapart.study.settings",
    "audit_images": "tellapart.audit",
    "compare_models": "tellapart.study.compare",
    "compare_predictions": "tellapart.study.predictions",
    "evaluate_model": "tellapart.evaluate",
    "evaluate_run": "tellapart.study.evaluate",
    "extract_features": "tellapart.transfer.features",
    "fit_head": "tellapart.transfer.head",
    "load_images": "tellapart.data",
    "load_predictor": "tellapart.predict.predictor",
    "make_network_settings": "tellapart.models",
    "make_split": "tellapart.data.split",
    "plan_study": "tellapart.study.study",
    "read_history": "tellapart.study.history",
    "run_search": "tellapart.search.optimize",
    "run_study": "tellapart.study.study",
    "run_sweep": "tellapart.search.sweep",
    "train_model": "tellapart.train.loop",
    "write_report": "tellapart.report.page",
}

__all__ = [
    "Budget",
    "ComputeSettings",
    "HeadSettings",
    "Look",
    "ReadSettings",
    "Rows",
    "Seal",
    "Space",
    "StudySettings",
    "SweepSettings",
    "Task",
    "TrainSettings",
    "TransferSettings",
    "__version__",
    "audit_images",
    "compare_models",
    "compare_predictions",
    "evaluate_model",
    "evaluate_run",
    "extract_features",
    "fit_head",
    "load_images",
    "load_predictor",
    "make_network_settings",
    "make_split",
    "plan_study",
    "read_history",
    "run_search",
    "run_study",
    "run_sweep",
    "train_model",
    "write_report",
]


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'tellapart' has no attribute {name!r}")
    from tellapart.device import wait_shortly

    wait_shortly()  # before one of them loads torch
    return getattr(import_module(_HOMES[name]), name)


def __dir__() -> list[str]:
    return __all__
