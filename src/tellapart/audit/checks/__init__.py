"""The checks of the data, one entry each."""

from __future__ import annotations

from tellapart.audit.checks.balance import check_balance
from tellapart.audit.checks.check import Check
from tellapart.audit.checks.copies import check_conflicts, check_copies, check_leaks
from tellapart.audit.checks.drift import check_drift
from tellapart.audit.checks.files import check_blank, check_unreadable
from tellapart.audit.checks.groups import check_groups
from tellapart.audit.checks.pretrained import check_pretrained
from tellapart.audit.checks.shortcuts import check_shortcuts
from tellapart.records import FindingName

CHECKS: dict[FindingName, Check] = {
    "conflicts": check_conflicts,
    "leaks": check_leaks,
    "groups": check_groups,
    "shortcuts": check_shortcuts,
    "drift": check_drift,
    "pretrained": check_pretrained,
    "blank": check_blank,
    "unreadable": check_unreadable,
    "balance": check_balance,
    "copies": check_copies,
}
