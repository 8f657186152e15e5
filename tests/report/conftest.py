"""Studies for the report's tests, made once."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))

import studies

from tellapart.records import StudyRecord


@pytest.fixture(scope="session")
def study() -> StudyRecord:
    return studies.make_study()


@pytest.fixture(scope="session")
def small() -> StudyRecord:
    """Three classes with hostile names, notebook protocol."""
    return studies.make_study(studies.HOSTILE, "notebook")
