"""The steps as the report shows them, in the order of the page; a new one is a line here."""

from __future__ import annotations

from tellapart.report.sections.baseline import BASELINE
from tellapart.report.sections.handover import HANDOVER
from tellapart.report.sections.inspect import INSPECT
from tellapart.report.sections.labels import LABELS
from tellapart.report.sections.learn import LEARN
from tellapart.report.sections.search import SEARCH
from tellapart.report.sections.section import Section
from tellapart.report.sections.sweep import CONV, DENSE
from tellapart.report.sections.transfer import TRANSFER
from tellapart.report.sections.vary import VARY

SECTIONS: dict[str, Section] = {
    "inspect": INSPECT,
    "labels": LABELS,
    "baseline": BASELINE,
    "conv": CONV,
    "dense": DENSE,
    "search": SEARCH,
    "transfer": TRANSFER,
    "learn": LEARN,
    "vary": VARY,
    "model": HANDOVER,
}
