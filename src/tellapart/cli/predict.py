"""The command that classifies new images."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from tellapart.cli.commands import app
from tellapart.cli.tools import Json
from tellapart.console import print_error, print_json, print_text, show_images
from tellapart.device import DeviceName
from tellapart.errors import SettingError, TellapartError
from tellapart.predict.answers import Answers, join_answers
from tellapart.predict.folder import ARGS, MODEL, find_newest
from tellapart.predict.inputs import list_items
from tellapart.predict.outputs import Shown, check_output, list_rows, say_answers, write_answers
from tellapart.predict.predictor import load_predictor
from tellapart.predict.score import NewScore, has_labels, label_items, score_answers
from tellapart.records import ALPHA
from tellapart.report.wording import say_count, say_estimate, say_p
from tellapart.workspace import IDENTITY, expand_path

EXPORTED = (".onnx", ".xml", ".pt2")
PRINTED, NAMED = 40, 10
"""Lines on a screen, and unreadable images that are named, at most."""


class Unreadable(TellapartError):
    """Some images could not be read; the others were classified."""


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
    error: Annotated[
        float | None,
        Parameter(
            help="The share of answers that may be wrong, such as 0.02; what is less sure is not "
            "answered."
        ),
    ] = None,
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
    if out is not None:
        check_output(out)
    run, given = split_places(places)
    predictor = load_predictor(run, device)
    shown = Shown(top, None if error is None else predictor.choose_threshold(error))
    items = list_items(given)
    if labels is not None:
        items = label_items(items, labels, predictor.classes)
    scored = labels is not None or has_labels(items, predictor.classes)
    with show_images("classified") as progress:
        parts = predictor.stream(items, progress if len(items) > PRINTED else lambda *_: None)
        kept: list[Answers] = []
        if out is not None:
            write_answers(expand_path(out), _keep(parts, kept), shown)
        else:
            kept.extend(parts)
    answers = join_answers(kept)
    score = (
        score_answers(answers, predictor.args, shown.threshold or 0.0)
        if scored and len(answers)
        else None
    )
    if json:
        rows = list(list_rows(answers, shown))
        print_json({"model": str(run), "answers": rows, "failed": answers.failed, "score": score})
    else:
        _print(answers, shown, out)
        print_text(_summarize(answers, shown, predictor.args.preprocessing.channels))
        if score is not None:
            print_text(_say_score(score))
    if answers.failed:
        named = "; ".join(f"{name}: {why}" for name, why in list(answers.failed.items())[:NAMED])
        more = len(answers.failed) - NAMED
        raise Unreadable(
            f"{say_count(len(answers.failed), 'image')} could not be read: {named}"
            + (f"; and {more:,} more" if more > 0 else "")
        )


def split_places(places: Sequence[str]) -> tuple[Path, list[str]]:
    """Return the model and the images of a command's arguments.

    Where none is named, the model is that of the newest study here.

    Raises:
        SettingError: there are no images.
    """
    first = expand_path(places[0]) if places else Path()
    named = bool(places) and (
        first.suffix in EXPORTED
        or any((first / name).is_file() for name in (IDENTITY, ARGS, f"{MODEL}/{ARGS}"))
    )
    given = list(places[1:] if named else places)
    if not given:
        raise SettingError(
            "predict needs images: files, folders, patterns, tables or archives; such as "
            "tellapart predict runs/digits-study-1 photos/"
        )
    if named:
        return first, given
    run = find_newest()
    print_error(f"with the model of {run}, the newest study here")
    return run, given


def _keep(parts: Iterator[Answers], kept: list[Answers]) -> Iterator[Answers]:
    for part in parts:
        kept.append(part)
        yield part


def _print(answers: Answers, shown: Shown, out: Path | None) -> None:
    if out is not None:
        print_text(f"answers: {out}")
        return
    lines = list(say_answers(answers, shown))
    print_text("\n".join(lines[:PRINTED]))
    if len(lines) > PRINTED:
        print_text(f"and {len(lines) - PRINTED:,} more: --out answers.csv keeps all")


def _summarize(answers: Answers, shown: Shown, channels: int) -> str:
    """Say how many images are of which class, and what is odd about others."""
    sure = answers.confidence >= (shown.threshold or 0.0)
    counts = Counter(label for label, one in zip(answers.labels, sure, strict=True) if one)
    said = [f"{name} ({count:,})" for name, count in counts.most_common(10)]
    said += [f"{len(counts) - 10} other classes"] if len(counts) > 10 else []
    parts = [f"{say_count(len(answers), 'image')}: {', '.join(said) or 'none answered'}"]
    if unsure := int((~sure).sum()):
        parts.append(f"{unsure:,} not answered, below {shown.threshold:.3f} confidence")
    if strange := int(answers.unlike.sum()):
        parts.append(f"{strange:,} unlike the training images")
    if odd := int(answers.odd.sum()):
        kind = (
            "grey, and the model learned from colour"
            if channels == 3
            else ("in colour, which the model does not see")
        )
        parts.append(f"{odd:,} {kind}")
    return "; ".join(parts)


def _say_score(score: NewScore) -> str:
    """Say the accuracy on images of known classes, and whether the study's differs from it."""
    beyond = "more than chance explains" if score.chance < ALPHA else "which may be chance"
    points = 100 * (score.accuracy.value - score.own.value)
    answered = ""
    if score.answered.n < score.accuracy.n:
        answered = f", of those answered {say_estimate(score.answered)}"
    return (
        f"accuracy on these images {say_estimate(score.accuracy)}{answered}; on the study's test "
        f"{say_estimate(score.own)}: {points:+.1f} points, {beyond} (p {say_p(score.chance)})"
    )
