"""docs/trust.md: every interval and verdict that users see, and how often it holds.

``python -m tests.trust`` simulates anew, which takes the better part of an hour, and writes the
figures to tests/trust.json (which keeps those of the first rule) and the page. ``python -m
tests.trust gain`` does so for what has that in its name, ``python -m tests.trust page`` writes the
page alone.
"""

from __future__ import annotations

import json
import sys
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from tests.simulations import RANKED, SIMULATIONS, count_rankings

ROOT = Path(__file__).resolve().parents[1]
FIGURES = Path(__file__).with_name("trust.json")
PAGE = ROOT / "docs/trust.md"
DRAWS, RANKINGS = 2000, 100
SLOW = {"bootstrap": 500, "bound": 200, "calibration": 300, "gain": 100, "need": 100}
FEWEST = 10
"""Draws that said something, from which on their share is given."""
Figures = dict[str, dict[str, list[int]]]


@dataclass(frozen=True)
class Row:
    """A kind of number in reports: what it is, how it is found, and when it is not to be used.

    ``fields`` are those of records that it stands in, ``simulated`` names its simulations,
    ``aim`` is how often it should hold.
    """

    title: str
    method: str
    limits: str
    fields: tuple[str, ...]
    simulated: str
    aim: str = "95 %"


ROWS = (
    Row(
        "accuracy, recall, precision, top-5: a share of images",
        "Wilson's score interval (1927)",
        "the images must be a fair sample of those that the model will meet",
        (
            "BackboneRecord.val_score", "ClassScore.precision", "ClassScore.recall",
            "TunedRecord.frozen_score", "TunedRecord.score", "ComparedRun.score",
            "FoldRecord.score",
            "EvaluatedModel.score", "HeadRecord.val_score", "Hardest.recall", "LearningPoint.score",
            "ModelStep.honest_score", "ModelStep.test_score", "ModelStep.val_score",
            "RunRecord.val_accuracy", "RunRecord.val_score", "ScreenRecord.val_score",
            "TestRecord.scores", "TestRecord.floor", "TestRecord.without_twins",
            "TrialRecord.val_score", "InspectStep.floors", "LabelsStep.score",
            "HandoverStep.test_score", "PredictorArgs.accuracy", "PredictorArgs.score",
        ),
        "share",
    ),
    Row(
        "the same where images come in groups (copies of one picture are one)",
        "Wilson's, of the effective number of images (Korn and Graubard 1998)",
        "from 10 groups on",
        ("TestRecord.effective", "Comparison.effect", "PredictorArgs.effective"),
        "share of groups",
    ),
    Row(
        "precision and F1 of a class",
        "Wilson's on the images called so, or on all that are or are called so: "
        "F1 = 2J/(1+J)",
        "for a class of some 10 images or more",
        ("ClassScore.f1",),
        "class",
    ),
    Row(
        "balanced accuracy, macro F1, log loss, Brier score, area under the ROC curve",
        "percentile bootstrap over images or groups (Efron 1979), 1,000 resamples; of means over "
        "classes at least as wide as those of the classes, added as squares (Zou and Donner 2008)",
        "from 100 images on",
        (),
        "bootstrap",
    ),
    Row(
        "calibration error",
        "basic bootstrap over images, 15 bins (Davison and Hinkley 1997, 5.2)",
        "where a calibrated model would show as much by chance, the lower limit is 0",
        ("HandoverStep.ece_before", "HandoverStep.ece_after"),
        "calibration",
    ),
    Row(
        "the mean score of several seeds",
        "half-widths of seeds (Student's t, pooled over sizes) and images (as above) add as "
        "squares (Zou and Donner 2008)",
        "seeds of all sizes are taken to vary alike",
        ("SizeRecord.val_score", "Confirmation.mean", "Confirmation.score",
         "PredictedModel.scores"),
        "mean over seeds",
    ),
    Row(
        "a difference of two trained models, and its p",
        "McNemar's test; Tango's interval, which inverts it (1998); Bonferroni for named pairs, "
        "Holm for the rest",
        "of two trained models on the same test images, not of another training of either",
        ("Comparison.low", "Comparison.high", "Comparison.p_value"),
        "difference",
    ),
    Row(
        "the same where images come in groups: that equal models are not told apart",
        "both on as many images as the design effect leaves (Durkalski et al. 2003)",
        "from 10 groups on",
        (),
        "difference of groups",
    ),
    Row(
        "the difference that these images would show",
        "the power of McNemar's test (Connor 1987)",
        "before there are models, they are taken to disagree on 15 % of the images",
        ("StudyRecord.detectable", "PlanRecord.shown"),
        "detectable",
        "80 %",
    ),
    Row(
        "what a size, level, head or model loses to the best",
        "seeds and images drawn again; limits for all pairs at once (Tukey; Hsu 1996)",
        "from two seeds a size on, better three",
        ("Candidate.low", "Candidate.high"),
        "losses",
    ),
    Row(
        "“does worse than the best”: that none of the best is called so",
        "the same limits",
        "as above",
        ("Candidate.possible", "ModelRanking.group"),
        "worse",
    ),
    Row(
        "a firm choice: that it is within the margin",
        "the rule takes the same in 90 % of the resamples",
        "as above",
        ("Ranking.firm",),
        "firm",
    ),
    Row(
        "“in resamples the choice was 128 in 71 %”",
        "how often the rule takes it when seeds and images are drawn again",
        "it is not the chance of being right: the column says how often a choice that 60 to "
        "80 % of the resamples agree on is the cheapest within the margin in truth",
        ("Candidate.picked",),
        "picked",
        "no promise",
    ),
    Row(
        "“more seeds would hardly settle that”: that 20 more of the open sizes do not",
        "resamples of images alone agree less often than those of seeds alone",
        "",
        ("Ranking.limit",),
        "limit",
        "80 %",
    ),
    Row(
        "“no class stands out” of equal classes",
        "binomial tests against all classes together, Bonferroni",
        "",
        ("Hardest.taken_for",),
        "hardest",
    ),
    Row(
        "the luck of a search's best",
        "Student's t prediction interval of one more seed",
        "of other seeds, on the same val images",
        ("Confirmation.low", "Confirmation.high", "Confirmation.luck"),
        "luck",
    ),
    Row(
        "what twice the data should bring",
        "a power law through the shares (Figueroa et al. 2012); means drawn again within the "
        "chance of seeds and val images",
        "if new images are like the old, and the curve goes on as it went",
        ("GainRecord.low", "GainRecord.high", "GainRecord.value"),
        "gain",
    ),
    Row(
        "about the most that features allow",
        "a bound from nearest neighbours (Cover and Hart 1967), with Wilson's limits; of features "
        "and pixels the higher, left out where a head does better",
        "neighbours lie further off than in endless data, so that more may be reached than it says,"
        " by other features above all",
        ("LabelsStep.bound",),
        "bound",
    ),
    Row(
        "a promised error (`--error`): that the share of wrong answers is no larger",
        "learn then test (Angelopoulos et al. 2021): exact binomial tests from three places of the "
        "risk-coverage curve",
        "of new images like those of test, of which one of each group counts; columns count draws "
        "in which something was promised",
        ("Promise.answered",),
        "promise",
    ),
    Row(
        "the images that an accuracy takes",
        "the same curve",
        "as above",
        ("NeedRecord.low", "NeedRecord.high"),
        "need",
    ),
)  # fmt: skip


def simulate(only: str = "") -> Figures:
    """Return how often each thing held, of how many draws; ``only`` what has this in its name."""
    found: Figures = {}
    for name, settings in SIMULATIONS.items():
        if only not in name:
            continue
        draws = SLOW.get(name, DRAWS)
        found[name] = {place: count_held(name, place, draws) for place in settings}
        print(name, found[name], flush=True)
    for place in RANKED:
        if only not in place:
            continue
        for name, counts in count_rankings(place, RANKINGS).items():
            found.setdefault(name, {})[place] = counts
        print(place, flush=True)
    return found


def count_held(name: str, place: str, draws: int) -> list[int]:
    """Return [how often it held, of how many draws that said something]."""
    rng = np.random.default_rng(5)
    said = [held for _ in range(draws) if (held := SIMULATIONS[name][place](rng)) is not None]
    return [sum(said), len(said)]


def make_page(figures: Figures) -> str:
    """Return docs/trust.md."""
    lines = [
        "# How far to trust each number",
        "",
        "Made from the figures of simulations (`python -m tests.trust`): data of a known truth are "
        "drawn, and the functions that reports use are asked. *Holds in* is the share of draws in "
        "which the answer was true, from the worst to the best setting, and of how many draws. "
        "Where it falls below the aim, the settings are named under the table.",
        "",
        "| number | method | aim | holds in | mind |",
        "|---|---|---|---|---|",
    ]
    notes = []
    for row in ROWS:
        own = figures[row.simulated]
        lines.append(f"| {row.title} | {row.method} | {row.aim} | {say_held(own)} | {row.limits} |")
        missed = list_missed(row, own)
        if missed:
            notes.append(f"- {row.title}: {'; '.join(missed)}.")
    lines += ["", "## Below the aim", "", *(notes or ["None."]), ""]
    lines += [*make_rankings(figures), ""]
    return "\n".join(lines)


def say_held(own: dict[str, list[int]]) -> str:
    """Say the range of how often something held; of all settings, where some say little of it."""
    draws, held = sum(of for _, of in own.values()), sum(held for held, _ in own.values())
    shares = [100 * held / max(1, of) for held, of in own.values()]
    if min(of for _, of in own.values()) < FEWEST:
        shares = [100 * held / max(1, draws)]
    ends = sorted({f"{min(shares):.1f}", f"{max(shares):.1f}"}, key=float)
    return f"{' to '.join(ends)} % of {draws:,}"


def list_missed(row: Row, own: dict[str, list[int]]) -> list[str]:
    """Return the settings in which something holds less often than it should, beyond chance."""
    if not row.aim.endswith("%"):
        return []
    aim = float(row.aim.removesuffix(" %")) / 100
    if min(of for _, of in own.values()) < FEWEST:
        own = {"in all": [sum(counts) for counts in zip(*own.values(), strict=True)]}
    return [
        f"{place} {100 * held / of:.1f} %"
        for place, (held, of) in own.items()
        if of >= FEWEST and held / of < aim - 3 * (aim * (1 - aim) / of) ** 0.5
    ]


def make_rankings(figures: Figures) -> list[str]:
    """Return the table of what is said of sizes, truth by truth, beside the first edition's."""
    lines = [
        "## Which size to take, truth by truth",
        "",
        f"Seven sizes, 3 seeds each, 1,000 val images, {RANKINGS} sweeps a row "
        "(`tests/metrics/truths.py`). *Within*: the size that is taken loses no more than the "
        "margin (1 point, at most a quarter of the mistakes) in truth. *Wrong*: it is called firm "
        "and loses more. The first rule (git `473dbe7`: differences of seeds alone, a margin of 2 "
        "points, by which it is judged) had the same sweeps.",
        "",
        "| truth | within | first rule | wrong | first rule | firm | all losses in their limits |",
        "|---|---|---|---|---|---|---|",
    ]

    def say(name: str, place: str) -> str:
        held, of = figures[name][place]
        return f"{100 * held / of:.0f} %" if of else "none"

    for place in RANKED:
        wrong = figures["wrong"][place]
        firm = figures["firm"][place][1]
        old = figures["first wrong"][place]
        lines.append(
            f"| {place} | {say('within', place)} | {say('first within', place)} | "
            f"{100 * (1 - wrong[0] / wrong[1]):.0f} % | {100 * old[0] / old[1]:.0f} % | "
            f"{100 * firm / wrong[1]:.0f} % | {say('losses', place)} |"
        )
    return lines


def read_figures() -> Figures:
    found: Figures = json.loads(FIGURES.read_text("utf-8"))
    return found


if __name__ == "__main__":
    if sys.argv[1:] != ["page"]:
        kept = read_figures() if FIGURES.is_file() else {}
        for title, own in simulate(*sys.argv[1:]).items():
            kept[title] = kept.get(title, {}) | own
        FIGURES.write_text(json.dumps(kept, indent=1, ensure_ascii=False) + "\n", "utf-8")
    PAGE.write_text(make_page(read_figures()), "utf-8")
