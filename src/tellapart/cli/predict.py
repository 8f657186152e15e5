"""The command that classifies new images."""

from __future__ import annotations

import glob
from collections import deque
from collections.abc import Iterator, Sequence
from itertools import islice
from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from tellapart.cli.commands import app
from tellapart.cli.tools import Json
from tellapart.console import print_error, print_json, print_text, show_images
from tellapart.device import DeviceName
from tellapart.errors import Interrupted, SettingError, Unreadable
from tellapart.predict.answers import Answers
from tellapart.predict.folder import ARGS, MODEL, find_newest
from tellapart.predict.inputs import list_items
from tellapart.predict.outputs import (
    Row,
    Shown,
    check_output,
    list_rows,
    say_answers,
    write_answers,
)
from tellapart.predict.predictor import load_predictor
from tellapart.predict.score import NewScore, Tally, has_labels, label_items, score_tally
from tellapart.records import ALPHA
from tellapart.report.wording import say_count, say_estimate, say_p
from tellapart.workspace import IDENTITY, expand_path

OWN = (IDENTITY, ARGS, f"{MODEL}/{ARGS}", "record.json", "results.json", "args.json")
"""Files by which a folder is known for a study's or a part of one, and not for images."""
EXPORTED = (".onnx", ".xml", ".bin", ".pt2")
Promised = Annotated[
    float | None,
    Parameter(
        help="The share of answers that may be wrong, such as 0.02; what is less sure is not "
        "answered."
    ),
]
PRINTED, NAMED = 40, 10
"""Lines on a screen, and unreadable images that are named, at most."""


@app.command
def predict(
    *places: Annotated[
        str,
        Parameter(
            help="A study or an exported model [default: the newest study in runs/], then images: "
            "files, folders, patterns, tables, archives."
        ),
    ],
    top: Annotated[int, Parameter(help="How many classes of each image are named.")] = 1,
    error: Promised = None,
    labels: Annotated[
        str | None,
        Parameter(
            help="What the images are, for a score: folders, or a table of files and classes "
            "[default: folders, where all are called as classes]."
        ),
    ] = None,
    out: Annotated[
        Path | None, Parameter(help="Write the answers: a .csv, .parquet, .json or .jsonl file.")
    ] = None,
    device: Annotated[DeviceName, Parameter(help="Where to compute.")] = "auto",
    json: Json = False,
) -> None:
    """Classify new images with the model of a study.

    Example: `tellapart predict runs/digits-study-1 photos/ --top 3`
    """
    if top < 1:
        raise SettingError(f"--top must be at least 1, but got {top}")
    if error is not None and not 0 < error < 1:
        raise SettingError(f"--error must be a share between 0 and 1, but got {error:g}")
    if out is not None:
        check_output(out)
    run, given = split_places(places)
    items = list_items(given)
    if run is None:
        run = find_newest()
        print_error(f"with the model of {run}, the newest study here")
    predictor = load_predictor(run, device)
    classes = predictor.classes
    shown = Shown(top, None if error is None else predictor.choose_threshold(error))
    if labels is not None:
        items = label_items(items, labels, classes)
    scored = labels is not None or has_labels(items, classes)
    tally, rows, lines = Tally(shown.threshold or 0.0), list[Row](), list[str]()

    def watch(parts: Iterator[Answers]) -> Iterator[Answers]:
        for part in parts:
            tally.add(part)
            if json:
                rows.extend(list_rows(part, shown))
            elif out is None:
                lines.extend(islice(say_answers(part, shown), PRINTED - len(lines)))
            yield part

    with show_images("classified") as progress:
        parts = watch(
            predictor.stream(items, progress if len(items) > PRINTED else lambda *_: None)
        )
        try:
            if out is not None:
                write_answers(expand_path(out), parts, shown, classes)
            else:
                deque(parts, 0)
        except Interrupted as stop:
            raise Interrupted(f"{str(stop).partition(';')[0]}; nothing was written") from stop
    score = score_tally(tally, predictor.args) if scored and tally.images else None
    if tally.known and score is not None:
        print_error(
            f"{tally.known:,} of these {tally.images:,} images trained the model or chose it: the "
            "accuracy on them is too high"
        )
    if json:
        failed = [{"file": name, "error": why} for name, why in tally.failed]
        print_json({"model": str(run), "answers": rows, "failed": failed, "score": score})
    else:
        more = tally.images - len(lines)
        lines = [f"answers: {out}"] if out is not None else lines
        if out is None and more:
            lines.append(f"and {more:,} more: --out answers.csv keeps all")
        lines.append(_summarize(tally, predictor.args.preprocessing.channels))
        lines += [_say_score(score)] if score is not None else []
        print_text("\n".join(lines))
    if tally.failed:
        for name, why in tally.failed[:NAMED]:
            print_error(f"{name}: {why}")
        more = len(tally.failed) - NAMED
        said = f"{say_count(len(tally.failed), 'image')} could not be read"
        raise Unreadable(said + (f", of which {more:,} are not named here" if more > 0 else ""))


def split_places(places: Sequence[str]) -> tuple[Path | None, list[str]]:
    """Return the model, if one is named, and the images of a command's arguments.

    Raises:
        SettingError: there are no images.
    """
    first = expand_path(places[0]) if places else Path()
    named = bool(places) and (
        first.suffix in EXPORTED or any((first / name).is_file() for name in OWN)
    )
    given = list(places[1:] if named else places)
    if len(places) > 1 and not named and not first.exists() and not glob.has_magic(str(first)):
        raise SettingError(
            f"the first place must be a study, an exported model or an image, but {first} is not "
            "there; mend the path"
        )
    if not given:
        raise SettingError(
            "predict needs images: files, folders, patterns, tables or archives; such as "
            "tellapart predict runs/digits-study-1 photos/"
        )
    return (first if named else None), given


def _summarize(tally: Tally, channels: int) -> str:
    """Say how many images are of which class, and what is odd about others."""
    said = [f"{name} ({count:,})" for name, count in tally.counts.most_common(10)]
    said += [f"{len(tally.counts) - 10} other classes"] if len(tally.counts) > 10 else []
    parts = [f"{say_count(tally.images, 'image')}: {', '.join(said) or 'none answered'}"]
    if tally.unsure:
        parts.append(f"{tally.unsure:,} not answered, below {tally.threshold:.4g} confidence")
    if tally.unlike:
        parts.append(f"{tally.unlike:,} unlike the training images")
    if tally.odd:
        kind = (
            "grey, and the model learned from colour"
            if channels == 3
            else ("in colour, which the model does not see")
        )
        parts.append(f"{tally.odd:,} {kind}")
    return "; ".join(parts)


def _say_score(score: NewScore) -> str:
    """Say the accuracy on images of known classes, and whether the study's differs from it."""
    beyond = "more than chance explains" if score.chance < ALPHA else "which may be chance"
    points = 100 * (score.accuracy.value - score.own.value)
    answered = ""
    if score.answered.n < score.accuracy.n:
        answered = f", of those answered {say_estimate(score.answered)}"
    optimistic = ", which is optimistic" if score.optimistic else ""
    return (
        f"accuracy on these images {say_estimate(score.accuracy)}{answered}; on the study's test "
        f"{say_estimate(score.own)}{optimistic}: {points:+.1f} points, {beyond} "
        f"(p {say_p(score.chance)})"
    )
