"""Print the table of a finished study, as it stands in RESULTS.md.

python benchmarks/table.py runs/cifar10-study-1
"""

from __future__ import annotations

import sys
from pathlib import Path

from tellapart.records import ModelStep, StudyRecord
from tellapart.report.wording import say_estimate, say_memory, say_seconds
from tellapart.workspace import read_record


def main() -> None:
    record = read_record(Path(sys.argv[1]) / "results.json", StudyRecord)
    machine = record.environment
    print(
        f"{record.data.name} ({record.data.fingerprint}), protocol {record.protocol}, tellapart "
        f"{record.version}, torch {machine['torch']}, openvino {machine['openvino']}; "
        f"{machine['processor']}, {machine['cores']} cores, {machine['memory_gb']} GB; "
        f"{record.command}\n"
    )
    print("| step | model | test | val | parameters | time (given) | peak memory |")
    print("|---|---|---|---|---|---|---|")
    for name, step in record.steps.items():
        given = f" ({say_seconds(step.given)})" if step.given is not None else ""
        cost = f"{say_seconds(step.seconds)}{given} | {say_memory(step.peak_memory_mb)}"
        if not isinstance(step, ModelStep):
            print(f"| {name} | | | | | {cost} |")
            continue
        mark = " (optimistic)" if step.test.optimistic else ""
        print(
            f"| {name} | {step.model} | {say_estimate(step.test_score)}{mark} | "
            f"{100 * step.val_score.value:.1f} % (n = {step.val_score.n:,}) | "
            f"{step.parameters:,} | {cost} |"
        )
    print(f"| all | | | | | {say_seconds(record.seconds)} | {say_memory(record.peak_memory_mb)} |")


if __name__ == "__main__":
    main()
