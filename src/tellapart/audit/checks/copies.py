"""Does a picture stand in the data several times, under two labels, or on both sides of a split?"""

from __future__ import annotations

from tellapart.audit.checks.check import GRAVE, Looked
from tellapart.records import Finding


def check_copies(looked: Looked) -> Finding | None:
    """Return a finding where images are copies of others, to the byte or nearly."""
    dataset, repeated = looked.dataset, looked.repeated
    if not repeated:
        return None
    equal, count = len(dataset) - len(set(dataset.hashes)), sum(map(len, repeated)) - len(repeated)
    pairs = [(one[0], row) for one in repeated for row in one[1:]]
    return Finding(
        name="copies",
        title="Copies of one picture",
        severity="mind",
        count=count,
        of=len(dataset),
        sentence=f"Images that are copies of others: {count:,} of {len(dataset):,}, {equal:,} of "
        "them to the byte.",
        advice="They count as one: no split that is made here divides them, and intervals go by "
        "pictures.",
        examples=looked.name_pairs(pairs),
        picture=looked.draw([one[:2] for one in dataset.copies] or pairs, "copies"),
    )


def check_conflicts(looked: Looked) -> Finding | None:
    """Return a finding where copies of one picture have two labels."""
    labels = looked.dataset.labels
    odd = [rows for rows in looked.repeated if len(set(labels[rows].tolist())) > 1]
    if not odd:
        return None
    pairs = [(rows[0], next(row for row in rows if labels[row] != labels[rows[0]])) for rows in odd]
    involved = [row for rows in odd for row in rows]
    return Finding(
        name="conflicts",
        title="Copies with two labels",
        severity="grave",
        count=len(involved),
        of=len(labels),
        sentence=f"Pictures under two labels: {len(odd):,}, on {len(involved):,} images. One label "
        "of each is wrong, or both apply.",
        advice="Correct the label, or leave the images out by --exclude.",
        examples=looked.name_pairs(pairs),
        picture=looked.draw(pairs, "conflicts"),
        leave_out=looked.name_rows(involved),
    )


def check_leaks(looked: Looked) -> Finding | None:
    """Return a finding where images of val or test have a copy in a split before."""
    split = looked.split
    order: dict[int, int] = {}
    for place, rows in enumerate((split.train, split.val, split.test)):
        order |= dict.fromkeys(rows.tolist(), place)
    pairs, earlier = [], set()
    for alike in looked.repeated:
        placed = sorted((order[row], row) for row in alike if row in order)
        before = [one for one in placed if one[0] == placed[0][0]]
        later = placed[len(before) :]
        pairs += [(before[0][1], row) for _, row in later]
        last = placed[-1][0] if placed else 0
        earlier |= {row for place, row in placed if place < last}
    if not pairs:
        return None
    parts, worst = [], 0.0
    for place, (name, rows) in enumerate((("val", split.val), ("test", split.test)), 1):
        if count := sum(order[row] == place for _, row in pairs):
            parts.append(f"{count:,} of {len(rows):,} in {name}")
            worst = max(worst, count / len(rows))
    return Finding(
        name="leaks",
        title="Copies on two sides of a split",
        severity="grave" if worst >= GRAVE else "mind",
        count=len(pairs),
        of=len(split.val) + len(split.test),
        sentence="Images whose picture stands in a split before theirs too: "
        f"{' and '.join(parts)}. Scores on them are memory, not recognition.",
        advice="--split grouped divides the images anew, copies together; or leave out those "
        "of the split before (--exclude).",
        examples=looked.name_pairs(pairs),
        picture=looked.draw(pairs, "leaks"),
        leave_out=looked.name_rows(earlier),
    )
