"""What the steps of a study share: settings, images, the sealed test, the time, and who trains."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from statistics import median_high
from typing import Any

from tellapart.cells import measure_room
from tellapart.cells.cell import Cell, CellContext, Outcome, run_cells, submit_cell, weigh_training
from tellapart.cells.executor import Executor, InlineExecutor
from tellapart.config import TrainSettings, hash_settings
from tellapart.device import choose_device, count_threads, use_threads
from tellapart.evaluate import Look, Predict, evaluate_model, predict_run
from tellapart.metrics.intervals import estimate_proportion
from tellapart.metrics.ranking import Images, rank_candidates
from tellapart.metrics.scores import Classes
from tellapart.models import NetworkSettings
from tellapart.records import Estimate, Ranking, RunRecord, StepRecord
from tellapart.report.plots import draw_run
from tellapart.study.deadline import Deadline
from tellapart.study.rules import Rules, find_rules, plan_recipe
from tellapart.study.settings import StudySettings
from tellapart.train.checkpoint import read_choice
from tellapart.train.learner import Task
from tellapart.train.pace import measure_task
from tellapart.workspace import Content, read_record, write_json

PASS = 1 / 3
"""What an image costs that is only classified, over one that is trained on."""
LEAST_SAVED, LEAST_GAIN = 4.0, 1.25
"""Seconds that workers must save, and times as fast that they must be: to start them takes as
long, and one core was measured alone, while several share their caches."""


@dataclass(frozen=True, kw_only=True)
class Context(CellContext):
    """One study at work. ``done`` has the records of its finished steps, in order."""

    settings: StudySettings
    minutes: float | None = None
    deadline: Deadline = field(default_factory=Deadline)
    workers: int = 1
    executor: Executor = field(default_factory=InlineExecutor)
    done: dict[str, StepRecord] = field(default_factory=dict)
    paces: dict[str, float] = field(default_factory=dict)

    @property
    def images(self) -> int:
        """Training images, from which much follows."""
        return len(self.seal.split.train)

    @property
    def rules(self) -> Rules:
        """The preset of the study's protocol."""
        return find_rules(self.settings)

    @property
    def threads(self) -> int:
        """The threads of a cell that a worker trains beside others."""
        return 1 if choose_device(self.device).type == "cpu" else 0

    def decide(
        self, place: str, name: str, kind: type[Content], decide: Callable[[], Content]
    ) -> Content:
        """Return what was decided of a step's work by its first start; decide now if this is it.

        Decisions that hang on what was measured would else be others after a kill.
        """
        path = self.folder / place / f"{name}.json"
        if not path.is_file():
            write_json(path, decide())
        return read_record(path, kind)

    def run(
        self, cells: Sequence[Cell], workers: int = 1, is_over: Callable[[], bool] = lambda: False
    ) -> list[Outcome | None]:
        """Train cells here, or by several workers; None are those for which no time was left."""
        return run_cells(self, cells, self.choose_executor(workers), is_over)

    def train(self, cell: Cell) -> RunRecord:
        """Train one cell, or read it; raise what it failed with."""
        return submit_cell(self, cell, self.choose_executor(1)).result()

    def choose_executor(self, workers: int) -> Executor:
        """Return who runs the trainings of a step that has so many workers."""
        use = workers > 1 or not self.executor.local
        return self.executor if use else InlineExecutor()

    def measure_epoch(
        self, model: NetworkSettings, recipe: TrainSettings | None = None, alone: bool = False
    ) -> float:
        """Return the seconds of an epoch on all training images and val; ``alone``: by one core."""
        recipe = recipe or plan_recipe(
            self.settings, "baseline", self.images, self.settings.seed, model
        )
        key = hash_settings(model, recipe, alone)
        if key not in self.paces:
            if not self.paces:
                self.reporter.say("measuring how fast this machine trains")
            rows = self.seal.split.train
            with use_threads(1 if alone else count_threads()):
                pace = measure_task(self.dataset, rows, Task(model, recipe, self.device))
            passes = (1 + recipe.mirrors) * len(self.seal.split.val) / max(1, self.images)
            self.paces[key] = pace * self.images * (1 + PASS * passes)
        return self.paces[key]

    def choose_workers(
        self, models: Sequence[NetworkSettings], seconds: float
    ) -> tuple[int, float]:
        """Return how many workers train networks, and how many times as fast they are together.

        One core each is measured for the network in the middle of ``models``, which begin with the
        cheapest; ``seconds`` is what all take, one after another. What the user named stays.
        """
        count = self.workers
        if count < 2 or not models or (seconds <= 0 and not self.names_workers):
            return 1, 1.0
        elsewhere = choose_device(self.device).type != "cpu" or not self.executor.local
        if elsewhere or seconds <= 0:
            return count, float(count)
        model = models[median_high(range(len(models)))]
        gain = count * self.measure_epoch(model) / self.measure_epoch(model, alone=True)
        gain = min(float(count), gain)
        worth = gain >= LEAST_GAIN and seconds * (1 - 1 / gain) >= LEAST_SAVED
        return (count, gain) if self.names_workers or worth else (1, 1.0)

    @property
    def names_workers(self) -> bool:
        """Whether the user said who trains, and how many."""
        return bool({self.settings.compute.executor, self.settings.compute.processes} - {"auto"})

    def fits_beside(self, model: NetworkSettings) -> bool:
        """Tell whether all workers can train such a network at once, for memory."""
        needed = self.workers * weigh_training(model, self.shape)
        return self.names_workers or not self.executor.local or needed <= measure_room()

    def rank(
        self, step: str, groups: Sequence[Sequence[RunRecord]], costs: Sequence[float] = ()
    ) -> Ranking:
        """Rank sizes, or what else has several seeds, by what each run made of each val image."""
        images, predicted = self.read_choices(step, groups)
        return rank_candidates(images, predicted, self.settings.sweep.margin / 100, costs)

    def read_choices(
        self, step: str, groups: Sequence[Sequence[RunRecord]]
    ) -> tuple[Images, list[dict[int, Classes]]]:
        """Return the val images, and what each run of each group made of them, by seed.

        Copies of one picture are a group, which counts as one.
        """
        rows = self.seal.open_rows(self.protocol, step).watch
        classes = len(self.dataset.classes)
        images = Images(
            self.dataset.labels[rows], classes, self.metric, self.dataset.find_groups(rows)
        )
        predicted = [
            {run.seed: read_choice(self.folder / run.folder, run.choice) for run in runs}
            for runs in groups
        ]
        return images, predicted

    def test_run(
        self, step: str, run: RunRecord, predict: Predict | None = None, kind: str = "final"
    ) -> dict[str, Any]:
        """Open the test split once for a model of a step, draw what it shows, and describe it.

        ``predict`` is the model unless it is the network in its run's folder, ``kind`` what the
        ledger calls it. Returned are the fields that the record of every step with a model has.
        """
        folder = self.folder / run.folder
        look = Look(step, run.cell, f"{kind} model of step {step}")
        predict = predict or predict_run(self.dataset, folder, self.device, run)
        test = evaluate_model(self.seal, look, predict, folder, self.metric)
        draw_run(run, test, self.dataset.classes, folder)
        return {
            "model": run.label,
            "parameters": run.parameters,
            "val_score": run.val_score,
            "test_score": test.score,
            "honest_score": estimate_last(run),
            "run": run,
            "test": test,
        }


def estimate_last(run: RunRecord) -> Estimate | None:
    """Return the last epoch's accuracy where the best one was chosen on test, else None."""
    if run.chosen_on != "test" or run.metric != "accuracy":
        return None
    n = run.val_score.n
    return estimate_proportion(round(run.history[-1].val_accuracy * n), n)
