"""What is said of the predictions of several models."""

from __future__ import annotations

from itertools import pairwise

from tellapart.records import ALPHA, PredictionsRecord
from tellapart.report.wording import say_count, say_estimate, say_figure, say_metric, say_points


def describe_predictions(record: PredictionsRecord) -> str:
    """Return what a person reads: a line a model, best first, and which can be told apart."""
    rows = sorted(
        zip(record.models, record.ranking.candidates, strict=True), key=lambda row: -row[1].score
    )
    wide = max(len(model.name) for model in record.models)
    groups = "" if record.groups is None else f" in {record.groups:,} groups"
    lines = [f"{record.images:,} images{groups}, {len(record.classes)} classes"]
    for model, one in rows:
        beside = "".join(
            f", {say_metric(name)} {say_figure(name, model.scores[name].value)}"
            for name in ("macro_f1", "log_loss")
            if name in model.scores
        )
        behind = f"{100 * one.loss:.1f} points behind ({100 * one.low:.1f} to {100 * one.high:.1f})"
        lines.append(
            f"{model.name:<{wide}}  {say_estimate(model.scores['accuracy'])}{beside}  "
            f"{behind if one.loss > 0 else 'best'}"
            + (f"  {say_count(model.trainings, 'training')}" if model.trainings > 1 else "")
        )
    if record.left_out:
        lines.append(f"Left out, for it is far below the others: {'; '.join(record.left_out)}.")
    tied = [model.name for model, one in rows if one.possible]
    if len(rows) > 2:
        others = ", ".join(tied[1:])
        lines.append(
            f"Not told from the best, {tied[0]}: {others}." if others else f"{tied[0]} is the best."
        )
    said = [one.sentence for one in record.comparisons if one.sentence]
    if said:
        lines += ["", *said]
    elif record.comparisons:
        told = {
            frozenset((one.first, one.second)): one.p_value < ALPHA for one in record.comparisons
        }
        near = [told[frozenset((a.name, b.name))] for (a, _), (b, _) in pairwise(rows)]
        lines.append(
            f"Of {len(told)} pairs {sum(told.values())} can be told apart, of the {len(near)} "
            f"neighbours in this order {sum(near)} (McNemar, corrected by Holm for all pairs)."
        )
    elif len(rows) == 2:
        (best, _), (other, one) = rows
        verb = "is better than" if not one.possible else "cannot be told from"
        lines.append(
            f"Over images and trainings {best.name} {verb} {other.name}: {say_points(one.loss)} "
            f"({100 * one.low:.1f} to {100 * one.high:.1f})."
        )
    return "\n".join(lines)
