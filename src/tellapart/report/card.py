"""The card of a model: what it is for, what it was trained on, and what it does badly."""

from __future__ import annotations

import re
from collections.abc import Sequence

from tellapart.records import DataRecord, Finding, ModelStep, PredictorArgs
from tellapart.report.wording import say_count, say_percent, say_score, say_settings

LISTED = 30
"""Classes in the table, at most: those that are found least."""


def write_card(
    args: PredictorArgs, record: ModelStep, data: DataRecord, findings: Sequence[Finding] | None
) -> str:
    """Return a model's card as Markdown, from what its study knows.

    After Mitchell et al. (2019), Model Cards for Model Reporting, arXiv 1810.03993.
    """
    run, test, seen = record.run, record.test, args.preprocessing
    chosen = {name: one for name, one in run.settings.items() if one not in (0, "none", None)}
    counts = {role: sum(own.values()) for role, own in data.counts.items()}
    parts = [
        f"# {_plain(args.name)}, trained on {_plain(data.name)}",
        f"Tells {say_count(len(args.classes), 'class', 'classes')} of images apart: "
        f"{_list(args.classes)}. Made by tellapart {args.version} in the study "
        f"{_plain(args.study)} ({args.step}).",
        "## Use",
        "    tellapart predict THIS_FOLDER PHOTOS/",
        "It is meant for images like those of the study: of these classes alone, taken in the same "
        "way. Any image is given one of the classes, whatever it shows; `--error` leaves out those "
        "that it is least sure of, and images unlike the training images are flagged. Whether its "
        "answers are fair to people whom they concern was not looked at.",
        "## Data",
        f"{_plain(data.origin)}. Trained on {counts.get('train', 0):,} images, chosen on "
        f"{counts.get('val', 0):,} (val), tested on {counts.get('test', 0):,}. Fingerprint "
        f"`{data.fingerprint}`.",
        f"Each image is squashed to {seen.image_size} x {seen.image_size} pixels, "
        f"{'in colour' if seen.channels == 3 else 'grey'}.",
        "## How well it does",
        f"It gets {say_score(test.metric, test.score)}."
        + (
            " The epoch was chosen on these same images, so that this is optimistic."
            if test.optimistic
            else " No choice was made on the test images."
        ),
        f"Always answering '{_plain(test.commonest)}' is right on "
        f"{say_percent(test.floor['accuracy'].value)}.",
        _table(record),
        "## Known weaknesses",
        *(f"- **{_plain(one.title)}.** {_plain(one.sentence)}" for one in findings or ()),
    ]
    if findings is None:
        parts.append("The data were not looked at in this study; `tellapart inspect` does so.")
    elif not findings:
        parts.append("The audit of the data found nothing.")
    if test.hardest is not None:
        found = say_percent(test.hardest.recall.value)
        parts.append(f"- {_plain(test.hardest.name)} is found least: {found}.")
    parts += [
        "## How it was made",
        f"{_plain(run.description)}; {record.parameters:,} parameters were trained, "
        f"{say_count(len(run.history), 'epoch')}, seed {run.seed}, on {_plain(run.device)}. "
        f"Settings: {_plain(say_settings(chosen))}.",
    ]
    if args.license:
        parts.append(
            f"The backbone's weights are under licence {_plain(args.license)}. That of the images "
            "is not known here."
        )
    return "\n\n".join(parts) + "\n"


def _table(record: ModelStep) -> str:
    rows = sorted(record.test.per_class, key=lambda row: row.recall.value)[:LISTED]
    lines = [
        "| class | found (recall) | of these right (precision) | test images |",
        "|---|---|---|---|",
    ]
    for row in rows:
        recall, precision = (
            f"{say_percent(one.value)} ({100 * one.low:.0f} to {100 * one.high:.0f})"
            for one in (row.recall, row.precision)
        )
        lines.append(f"| {_plain(row.name)} | {recall} | {precision} | {row.support:,} |")
    hidden = len(record.test.per_class) - len(rows)
    return "\n".join(lines) + (f"\n\n{hidden:,} more classes are found better." if hidden else "")


def _list(names: Sequence[str]) -> str:
    shown = ", ".join(_plain(name) for name in names[:20])
    return shown + (f" and {len(names) - 20:,} more" if len(names) > 20 else "")


def _plain(text: str) -> str:
    """Return a text whose signs mean nothing in Markdown or HTML, in one line."""
    return re.sub(r"([\\`*_{}\[\]<>|#])", r"\\\1", " ".join(text.split()))
