"""Does the split divide groups?"""

from __future__ import annotations

from tellapart.audit.checks.check import GRAVE, Looked
from tellapart.data.split import count_leaks
from tellapart.records import Finding


def check_groups(looked: Looked) -> Finding | None:
    """Return a finding where images of val or test are of a group that a split before has."""
    dataset, split = looked.dataset, looked.split
    if not dataset.names:
        return None
    keys = [f"group {name}" if name else f"row {row}" for row, name in enumerate(dataset.names)]
    count, of = count_leaks(keys, split), len(split.val) + len(split.test)
    if not count:
        return None
    first: dict[str, int] = {}
    divided: dict[str, tuple[int, int]] = {}
    for rows in (split.train, split.val, split.test):
        named = {dataset.names[row]: row for row in rows[::-1].tolist() if dataset.names[row]}
        divided |= {name: (first[name], row) for name, row in named.items() if name in first}
        first = named | first
    pairs = sorted(divided.values())
    return Finding(
        name="groups",
        title="Groups on two sides of a split",
        severity="grave" if count >= GRAVE * of else "mind",
        count=count,
        of=of,
        sentence=f"Images of val and test whose group a split before theirs has too: {count:,} of "
        f"{of:,}; {len(divided):,} of {len(first):,} groups are divided. Scores on them are partly "
        "memory.",
        advice="--split grouped divides the images anew, group by group.",
        examples=looked.name_pairs(pairs),
        picture=looked.draw(pairs, "groups"),
    )
