"""How the report says numbers: one way for each kind, the same in text, tables and figures."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from pathlib import Path

from tellapart.records import ALPHA, Comparison, Estimate, Level, Scalar
from tellapart.words import shorten_name, shorten_names

METRICS = {
    "macro_f1": "macro F1",
    "top5": "top-5 accuracy",
    "brier": "Brier score",
    "ece": "calibration error",
    "auc": "area under the ROC curve",
}
NUMBERS = ("log_loss", "brier")
"""Scores that are said as a number, for they are no share; less is better."""


def say_setting(name: str) -> str:
    """Say the name of a setting as a reader would: "filters" for "width"."""
    known = {"width": "filters", "dense": "dense units", "lr": "learning rate"}
    return known.get(name, name.replace("_", " "))


def say_percent(value: float) -> str:
    """Say a fraction: "62.4 %"."""
    return f"{100 * value:.1f} %"


def say_estimate(estimate: Estimate) -> str:
    """Say a proportion with its interval and n: "62.4 % (59.3 to 65.4, n = 1,000)"."""
    low, high = 100 * estimate.low, 100 * estimate.high
    return f"{say_percent(estimate.value)} ({low:.1f} to {high:.1f}, n = {estimate.n:,})"


def say_metric(metric: str) -> str:
    """Say the name of a metric as a reader would: "balanced accuracy", "macro F1"."""
    return METRICS.get(metric, metric.replace("_", " "))


def say_figure(metric: str, value: float) -> str:
    """Say the value of a score, the log loss and the Brier score as numbers: "62.4 %", "0.312"."""
    return f"{value:.3f}" if metric in NUMBERS else say_percent(value)


def say_range(metric: str, estimate: Estimate) -> str:
    """Say the interval of a score: "59.3 to 65.4", "0.281 to 0.344"."""
    low, high = estimate.low, estimate.high
    if metric in NUMBERS:
        return f"{low:.3f} to {high:.3f}"
    return f"{100 * low:.1f} to {100 * high:.1f}"


def title_score(metric: str, split: str = "") -> str:
    """Return the title of an axis or a column: "Macro F1 on val"."""
    said = say_metric(metric) + (f" on {split}" if split else "")
    return said[:1].upper() + said[1:]


def say_score(metric: str, estimate: Estimate) -> str:
    """Say what a model "gets": "62.4 % (..) of the test images right", or "a macro F1 of .."."""
    if metric == "accuracy":
        return f"{say_estimate(estimate)} of the test images right"
    return f"a {say_metric(metric)} of {say_estimate(estimate)} on the test images"


def say_count(count: int, one: str, several: str = "") -> str:
    """Say how many there are of something: "1 seed", "3 seeds"."""
    return f"{count:,} {one if count == 1 else several or one + 's'}"


def say_settings(settings: Mapping[str, Scalar]) -> str:
    """Say settings on one line: "learning rate 0.001 · batch 64"."""
    return " · ".join(
        f"{say_setting(name)} {say_scalar(value)}" for name, value in settings.items()
    )


def say_points(difference: float) -> str:
    """Say a difference of two fractions, with its sign: "-3.1 points"."""
    return f"{100 * difference:+.1f} points"


def tie_units(text: str) -> str:
    """Keep a number and its per cent sign, and an n, on one line."""
    return text.replace(" %", "\u00a0%").replace("n = ", "n\u00a0=\u00a0")


def say_seconds(seconds: float) -> str:
    """Say a duration with the units a person would choose: "8.2 s", "3 min 12 s"."""
    if seconds < 9.95:
        return f"{seconds:.1f} s"
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60:02d} s"
    minutes = round(seconds / 60)
    return f"{minutes // 60} h {minutes % 60:02d} min"


def say_memory(megabytes: float) -> str:
    """Say MB (10**6 bytes), or GB from 1,000 MB on: "812 MB", "2.4 GB"."""
    return f"{megabytes:.0f} MB" if megabytes < 999.5 else f"{megabytes / 1000:.1f} GB"


def say_margin(difference: float) -> str:
    """Say how large a difference of two fractions is: "1 point", "0.4 points"."""
    said = f"{100 * difference:.1f}".removesuffix(".0")
    return f"{said} point{'' if said == '1' else 's'}"


def say_level(level: Level) -> str:
    """Say the values of a level: "lr 0.001 with augment flip"."""
    return " with ".join(f"{name.replace('_', ' ')} {value}" for name, value in level.items())


def say_p(value: float) -> str:
    """Say a p-value, small ones as a bound: "< 0.001", "0.041"."""
    return "< 0.001" if value < 0.001 else f"{value:.3f}"


def say_comparison(pair: Comparison, first: str, second: str) -> str:
    """Say which of two trained models is better, or how much better it could be unseen."""
    points = 100 * abs(pair.difference)
    low, high = sorted(
        100 * (edge if pair.difference >= 0 else -edge) for edge in (pair.low, pair.high)
    )
    span = f"{points:.1f} points ({low:.1f} to {high:.1f})"
    better, worse = (second, first) if pair.difference >= 0 else (first, second)
    if pair.p_value < ALPHA:
        said = f"{better} is better than {worse} by {span}."
    else:
        said = (
            f"{better} and {worse} cannot be told apart on these {pair.n:,} images: "
            f"{'the first is ahead' if pair.difference else 'they differ'} by {span}."
        )
    # the name of a folder stays as it is
    return said[0].upper() + said[1:] if said.startswith("the ") else said


def say_scalar(value: Scalar) -> str:
    """Say one setting or fact: thousands grouped, floats short, and none."""
    if value is None:
        return "none"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, int):
        return f"{value:,}"
    if isinstance(value, float):
        return f"{value:.4g}"
    if isinstance(value, tuple):
        return ", ".join(str(part) for part in value)
    return value


def hide_home(text: str) -> str:
    """Write the reader's own home folder as ``~``: a report is made to be handed on."""
    home = str(Path.home())
    return text.replace(home, "~") if len(home) > 1 else text


def shorten_label(text: str, limit: int = 24) -> str:
    """Make a name safe and short for a figure of matplotlib's: without formulas."""
    return shorten_name(text, limit).replace("$", r"\$")


def label_classes(names: Sequence[str], limit: int = 24) -> list[str]:
    """Return a label for each class, no two of them alike."""
    return [name.replace("$", r"\$") for name in shorten_names(names, limit)]


def cut_name(name: str) -> list[str]:
    """Return the parts of a long name, between which a line may end."""
    return re.findall(r"[^_./-]*[_./-]|[^_./-]+", name)
