from __future__ import annotations

from pathlib import Path

import pytest

from tellapart.errors import WorkspaceError
from tellapart.search.journal import open_journal


@pytest.mark.parametrize(
    "line", [b"x\n", b"null\n", b"[1]\n", b"{}\n", b'{"op_code": 99}\n', b"[" * 100_000 + b"\n"]
)
def test_a_damaged_line_is_refused_with_the_files_name(line: bytes, tmp_path: Path) -> None:
    path = tmp_path / "trials.journal"
    open_journal(path)
    path.write_bytes(line + path.read_bytes())
    with pytest.raises(WorkspaceError, match=r"trials\.journal is not the journal of a search"):
        open_journal(path)


def test_half_a_line_at_the_end_is_cut(tmp_path: Path) -> None:
    path = tmp_path / "trials.journal"
    open_journal(path)
    path.write_bytes(path.read_bytes() + b'{"op_code": 4, "tri')
    assert len(open_journal(path).trials) == 0
    assert b"tri" not in path.read_bytes()
