"""Kill a training again and again at random times, and check what it leaves.

Run as ``python -m tests.train.killer FOLDER KILLS SEED``. Each start is a fork of this process,
which has trained once itself, so that none pays for the imports again.
"""

from __future__ import annotations

import os
import random
import signal
import sys
import time
import traceback
from pathlib import Path

from tellapart.data.digits import load_digits
from tellapart.train.checkpoint import list_checkpoints
from tellapart.train.learner import make_learner
from tellapart.train.progress import name_training, read_checkpoint

from .runs import ROWS, TASK, read_end, train_small


def start_training(folder: Path) -> int:
    """Fork; the child trains in ``folder`` and leaves with 0, the parent gets its process id."""
    child = os.fork()
    if child:
        return child
    try:
        train_small(folder)
        os._exit(0)
    except BaseException:
        traceback.print_exc()
        os._exit(1)


def kill_trainings(root: Path, kills: int, seed: int) -> None:
    """Kill so many trainings; each run is gone on with until it ends, and compared."""
    chance = random.Random(seed)
    digits = load_digits()
    learner = make_learner(digits, ROWS.train, TASK)
    key = name_training(digits, (ROWS.train, ROWS.watch), TASK, learner)
    train_small(root / "whole")
    expected = read_end(root / "whole")
    start = time.perf_counter()
    train_small(root / "again")
    span = time.perf_counter() - start
    assert read_end(root / "again") == expected
    killed, runs = 0, 0
    folder, place = root / "0", ""
    while True:
        child = start_training(folder)
        if killed < kills:
            time.sleep(chance.uniform(0, 0.8 * span))
            os.kill(child, signal.SIGKILL)
        status = os.waitpid(child, 0)[1]
        if status == 0:
            assert read_end(folder) == expected, folder
            runs, place = runs + 1, ""
            folder = root / str(runs)
            if killed == kills:
                break
            continue
        assert os.WIFSIGNALED(status), "the training failed"
        killed += 1
        if (folder / "record.json").exists():  # it had ended: what comes next begins anew
            place = ""
        found = list_checkpoints(folder)
        for path in found:
            assert path.name >= place, "went back behind an earlier checkpoint"
            place = path.name[:15]
            break
        if found:
            assert read_checkpoint(folder, key) is not None
            assert list_checkpoints(folder) == found, "a checkpoint was damaged"
    print(f"{killed} kills over {runs} runs, all ended bit-equal")


if __name__ == "__main__":
    kill_trainings(Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3]))
