"""Studies for the report's tests, made once."""

from __future__ import annotations

import pytest

from tellapart.records import StudyRecord
from tests.report import studies


@pytest.fixture(scope="session")
def study() -> StudyRecord:
    return studies.make_study()


@pytest.fixture(scope="session")
def small() -> StudyRecord:
    """Three classes with hostile names, notebook protocol."""
    return studies.make_study(studies.HOSTILE, "notebook")
