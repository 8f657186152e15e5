"""Which model is handed over?"""

from __future__ import annotations

import numpy as np

from tellapart.metrics.probabilities import measure_scores
from tellapart.metrics.selective import choose_surest
from tellapart.predict.folder import MODEL
from tellapart.records import HandoverStep, Promise, StepPlan
from tellapart.study.compare import list_models
from tellapart.study.context import Context
from tellapart.study.deadline import Deadline
from tellapart.study.handover import build_chosen, choose_model, hand_over, soften
from tellapart.study.mistakes import show_mistakes
from tellapart.study.steps.step import Step

PROMISED = (0.01, 0.02, 0.05, 0.1)
"""Errors for which the report says how many images would be answered."""


def run_handover(context: Context, plan: StepPlan, deadline: Deadline) -> HandoverStep:
    """Write the study's choice into its folder ``model``, and say what it can promise."""
    name, record = choose_model(context)
    context.reporter.expect(3)
    folder = context.folder / MODEL
    chosen = build_chosen(context, name, record)
    handed = hand_over(context, chosen, folder)
    mistakes = show_mistakes(chosen.dataset, handed, folder)
    context.reporter.advance(1, f"looked at {mistakes.count:,} mistakes")
    args, truth = handed.args, context.dataset.labels[handed.tested]
    groups = context.dataset.find_groups(handed.tested)
    before, after = (
        measure_scores(truth, soften(handed.logits, temperature).astype(np.float64), groups)["ece"]
        for temperature in (1.0, args.temperature)
    )
    promises = []
    for error in PROMISED if args.surest else ():
        found = choose_surest(args.surest, error)
        promises.append(
            Promise(
                error=error,
                threshold=found.threshold if found else None,
                answered=found.count / args.tested if found else 0.0,
                wrong=found.wrong if found else 0,
                count=found.count if found else 0,
            )
        )
    return HandoverStep(
        chosen=name,
        model=record.model,
        parameters=record.parameters,
        test_score=record.test_score,
        temperature=args.temperature,
        ece_before=before,
        ece_after=after,
        surest=args.surest,
        promises=tuple(promises),
        false_alarms=args.false_alarms,
        optimistic=args.optimistic,
        license=args.license,
        mistakes=mistakes,
    )


STEP = Step(
    run=run_handover,
    plan=lambda context, seconds: StepPlan(text="the best model on val, into the folder model"),
    weight=1,  # features of some images, in float32
    applies=lambda context: bool(list_models(context)),
)
