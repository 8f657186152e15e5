"""What a ranking says, in words: numbers decide, words follow."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

from tellapart.records import Candidate, Ranking, SizeRecord
from tellapart.report import wording

LEAST, NAMED = 0.01, 4
"""The share of resamples below which what was picked is not named, and how many are."""

Kind = Literal["rises", "falls", "inside", "none", "unclear"]


def name_kind(candidates: Sequence[Candidate]) -> Kind:
    """Name what the sizes that are shown to be worse than the best say of those in their order."""
    worse = [not one.possible for one in candidates]
    if not any(worse):
        return "none"
    if not worse[0] and not worse[-1]:
        return "unclear"
    if worse[0] and worse[-1]:
        return "inside"
    return "rises" if worse[0] else "falls"


def say_sizes(
    ranking: Ranking, sizes: Sequence[SizeRecord], setting: str, metric: str = "accuracy"
) -> str:
    """Say whether a size matters, which one to take, and how sure that is."""
    names = [f"{size.size:,}" for size in sizes]
    what, taken, best = wording.say_setting(setting), ranking.taken, ranking.best
    points = wording.say_margin(ranking.margin)
    last, score = len(sizes) - 1, wording.title_score(metric)
    within = (
        f"{names[taken]} {what} are best"
        if taken == best
        else f"{names[taken]} {what} come within {points} of the best ({names[best]})"
    )
    ends = " and ".join(
        f"{names[end]} {_say_loss(ranking.candidates[end])}"
        for end in (0, last)
        if not ranking.candidates[end].possible
    )
    further = {"rises": (last, "largest", "larger"), "falls": (0, "smallest", "smaller")}
    kind = name_kind(ranking.candidates)
    if len(sizes) == 1:
        return f"Only {names[0]} {what} could be trained, so there is nothing to compare."
    if kind in ("none", "unclear"):
        most = max(range(len(sizes)), key=lambda place: ranking.candidates[place].high)
        highest = (
            f"{names[taken]} {what} have the highest mean"
            if taken == best
            else f"{names[taken]} {what} come within {points} of the highest mean ({names[best]})"
        )
        said = (
            f"No difference beyond chance was seen between {names[0]} and {names[-1]} {what}; "
            f"{names[most]} may lose up to "
            f"{wording.say_margin(ranking.candidates[most].high)}. {highest}."
        )
    elif kind == "inside":
        said = f"The best size lies between the ends: {within}; {ends}."
    else:
        end, most_word, more_word = further[kind]
        turn = "and levels off" if kind == "rises" else "in the end"
        if taken == end == best:
            said = (
                f"{score} {kind} with the number of {what} up to the {most_word} tried, "
                f"{names[end]}: {more_word} ones may do better still; {ends}."
            )
        else:
            said = f"{score} {kind} with the number of {what} {turn}: {within}; {ends}."
    return said


def _say_loss(one: Candidate) -> str:
    low, high = 100 * one.low, 100 * one.high
    return f"loses {100 * one.loss:.1f} points ({low:.1f} to {high:.1f})"


def say_levels(ranking: Ranking, names: Sequence[str]) -> str:
    """Say which level of settings to take, and which ones are shown to do worse."""
    if len(names) == 1:
        return f"Only {names[0]} could be trained, so there is nothing to compare."
    taken, best = names[ranking.taken], names[ranking.best]
    worse = [place for place, one in enumerate(ranking.candidates) if not one.possible]
    if ranking.taken == ranking.best:
        said = f"{taken} is best" if worse else f"{taken} has the highest mean"
    else:
        points = wording.say_margin(ranking.margin)
        said = f"{taken} is the cheapest within {points} of the best ({best})"
    if not worse:
        high = max(one.high for one in ranking.candidates)
        said += (
            f"; no difference beyond chance was seen, but one of up to {wording.say_margin(high)} "
            "is possible"
        )
    elif len(worse) <= 4:
        shown = (f"{names[place]} {_say_loss(ranking.candidates[place])}" for place in worse)
        said += f"; {'; '.join(shown)}"
    else:
        said += f"; {len(worse)} of {len(names)} are shown to do worse"
    return f"{said[0].upper()}{said[1:]}."


def say_certainty(
    ranking: Ranking, names: Sequence[str], sizes: Sequence[SizeRecord], what: str = "size"
) -> str:
    """Say how often resamples chose which, and what would make the choice surer."""
    if len(sizes) == 1:
        return ""
    said = ""
    if max(len(size.seeds) for size in sizes) < 2:
        said = " With one seed there is no measure of the chance of training; use --seeds 3."
    else:
        shares = zip((one.picked for one in ranking.candidates), names, strict=True)
        picked = [(share, name) for share, name in shares if share >= LEAST]
        picked.sort(key=lambda one: -one[0])
        listed = ", ".join(f"{name} in {100 * share:.0f} %" for share, name in picked[:NAMED])
        if rest := picked[NAMED:]:
            each = "another" if len(rest) == 1 else f"one of {len(rest)} others"
            listed += f", {each} in {100 * sum(share for share, _ in rest):.0f} %"
        said = f" In resamples of seeds and images the choice was {listed}."
        if ranking.limit == "images":
            n = sizes[0].val_score.n
            said += f" More seeds would hardly settle that: these {n:,} images are the limit."
        elif ranking.limit:
            said += " More seeds may settle that."
    for one in ranking.far:
        said += (
            f" Left out: {names[one.place]} with seed {one.seed}, which at {100 * one.score:.1f} % "
            "is far below the others."
        )
    return said


def say_training(sizes: Sequence[SizeRecord], epochs: int) -> str:
    """Say for how many epochs sizes were trained, and whether most were rising still."""
    best = [epoch for size in sizes for epoch in size.best_epochs]
    rising = sum(epoch == epochs for epoch in best)
    said = f" Trained for {wording.say_count(epochs, 'epoch')}"
    if rising > len(best) / 2:
        said += f", after which {rising} of {len(best)} trainings were still rising"
    return f"{said}."
