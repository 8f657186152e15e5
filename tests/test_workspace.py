from __future__ import annotations

import errno
import hashlib
import math
import os
from pathlib import Path

import pytest
from pydantic import ValidationError

from tellapart.config import TrainSettings
from tellapart.errors import WorkspaceError
from tellapart.records import Estimate
from tellapart.workspace import (
    IDENTITY,
    check_folder,
    locate_cache,
    name_folder,
    open_folder,
    read_checked,
    read_json,
    read_record,
    write_bytes,
    write_json,
    write_text,
)

OURS = {"data": "digits", "seed": 0}


def test_what_is_written_is_read(tmp_path: Path) -> None:
    path = tmp_path / "deep" / "down" / "file"
    assert write_bytes(path, b"\x00\xff").read_bytes() == b"\x00\xff"
    assert write_text(path, "Größe\n").read_bytes() == "Größe\n".encode()
    assert read_json(write_json(path, {"größe": [1, None]})) == {"größe": [1, None]}
    estimate = Estimate(value=0.5, low=0.25, high=0.75, n=9)
    assert read_record(write_json(path, estimate), Estimate) == estimate
    assert [found.name for found in path.parent.iterdir()] == ["file"]


@pytest.mark.parametrize("call", ["fsync", "replace"])
def test_a_failed_write_leaves_the_old_file_and_no_other(
    call: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = write_text(tmp_path / "file", "old")

    def fail(*_: object) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with monkeypatch.context() as patch:
        patch.setattr(os, call, fail)
        with pytest.raises(WorkspaceError, match=r"No space left on device.*--out"):
            write_text(path, "new")
    assert path.read_text("utf-8") == "old"
    assert list(tmp_path.iterdir()) == [path]


def test_a_file_where_a_folder_must_be_is_said(tmp_path: Path) -> None:
    blocked = write_text(tmp_path / "file", "x")
    with pytest.raises(WorkspaceError, match="could not be written"):
        write_text(blocked / "inside", "y")


@pytest.mark.parametrize("content", [None, b"{", b"\xff\xfe"])
def test_missing_or_damaged_json_is_said(content: bytes | None, tmp_path: Path) -> None:
    path = tmp_path / "record.json"
    if content is not None:
        write_bytes(path, content)
    with pytest.raises(WorkspaceError, match="cannot be read"):
        read_json(path)


def test_a_record_of_another_kind_is_refused(tmp_path: Path) -> None:
    path = write_json(tmp_path / "record.json", TrainSettings())
    with pytest.raises(WorkspaceError, match="altered, or is of another version"):
        read_record(path, Estimate)


def test_a_folder_is_opened_again_by_the_same_work(tmp_path: Path) -> None:
    folder = open_folder(tmp_path / "a" / "b", OURS)
    write_text(folder / "results.json", "{}")
    assert open_folder(folder, dict(reversed(OURS.items()))) == folder
    assert (folder / "results.json").is_file()


def test_an_empty_folder_may_be_taken(tmp_path: Path) -> None:
    (tmp_path / "new").mkdir()
    assert read_json(open_folder(tmp_path / "new", OURS) / IDENTITY) == OURS


def test_foreign_files_are_refused_and_left(tmp_path: Path) -> None:
    write_text(tmp_path / "thesis.tex", "x")
    with pytest.raises(WorkspaceError, match="holds other files"):
        open_folder(tmp_path, OURS)
    assert [path.name for path in tmp_path.iterdir()] == ["thesis.tex"]


@pytest.mark.parametrize(
    ("other", "said"),
    [
        ({"data": "digits", "seed": 1}, "its seed is 0, this command's is 1"),
        ({"data": "digits"}, "its seed is 0, this command's is None"),
        ({**OURS, "epochs": 3}, "its epochs is None, this command's is 3"),
    ],
)
def test_another_identity_is_refused_by_its_key(
    other: dict[str, object], said: str, tmp_path: Path
) -> None:
    open_folder(tmp_path / "run", OURS)
    with pytest.raises(WorkspaceError, match=said):
        open_folder(tmp_path / "run", other)
    assert read_json(tmp_path / "run" / IDENTITY) == OURS


def test_a_file_as_folder_is_refused(tmp_path: Path) -> None:
    path = write_text(tmp_path / "file", "x")
    with pytest.raises(WorkspaceError, match="must be a folder"):
        open_folder(path, OURS)


def test_folders_are_numbered_and_unfinished_work_is_found_again(tmp_path: Path) -> None:
    first = name_folder("digits-study", OURS, tmp_path)
    assert first == tmp_path / "digits-study-1"
    open_folder(first, OURS)
    assert name_folder("digits-study", OURS, tmp_path) == first
    second = tmp_path / "digits-study-2"
    assert name_folder("digits-study", {**OURS, "seed": 1}, tmp_path) == second
    write_json(first / "status.json", {"status": "stopped"})
    assert name_folder("digits-study", OURS, tmp_path) == first
    write_json(first / "status.json", {"status": "done"})
    assert name_folder("digits-study", OURS, tmp_path) == second


def test_the_cache_is_where_the_variable_says() -> None:
    assert locate_cache({"TELLAPART_CACHE": "/somewhere"}) == Path("/somewhere")
    assert locate_cache({"TELLAPART_CACHE": "~/mine"}) == Path.home() / "mine"
    assert locate_cache({}).name == "tellapart"


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
def test_a_number_that_is_not_finite_gets_into_no_record(value: float, tmp_path: Path) -> None:
    """It is refused where the record is made, and where one was changed, when it is written."""
    with pytest.raises(ValidationError, match="finite"):
        Estimate(value=value, low=0, high=1, n=1)
    estimate = Estimate(value=0.5, low=0, high=1, n=1).model_copy(update={"value": value})
    for content in (estimate, {"value": [value]}):
        with pytest.raises(ValueError, match="JSON"):
            write_json(tmp_path / "file", content)
    assert list(tmp_path.iterdir()) == []


def test_bytes_of_a_name_that_are_not_utf_8_are_written_as_escapes(tmp_path: Path) -> None:
    name = os.fsdecode(b"caf\xe9")
    assert read_json(write_json(tmp_path / "file", {"name": name})) == {"name": name}
    assert write_text(tmp_path / "text", name).read_text("utf-8") == r"caf\udce9"


OTHER_SHAPES = ("[]", "[1]", "null", "5", "{", "[" * 100_000, '{"status": 5}')


@pytest.mark.parametrize("content", OTHER_SHAPES)
def test_an_identity_of_another_shape_is_refused(content: str, tmp_path: Path) -> None:
    (tmp_path / IDENTITY).write_text(content)
    with pytest.raises(WorkspaceError, match=r"identity\.json|holds other work"):
        check_folder(tmp_path, OURS)


@pytest.mark.parametrize("content", OTHER_SHAPES)
@pytest.mark.parametrize("name", [IDENTITY, "status.json"])
def test_a_damaged_run_is_passed_over(name: str, content: str, tmp_path: Path) -> None:
    """It is another run's: that no new one would start is no way to say so."""
    folder = open_folder(tmp_path / "digits-train-1", OURS)
    (folder / name).write_text(content)
    assert name_folder("digits-train", OURS, tmp_path) == tmp_path / "digits-train-2"


def test_a_file_that_was_altered_is_refused(tmp_path: Path) -> None:
    path = write_text(tmp_path / "file", "text")
    digest = hashlib.sha256(b"text").hexdigest()
    assert read_checked(path, digest) == b"text"
    path.write_text("texu")
    with pytest.raises(WorkspaceError, match="file was altered since it was written"):
        read_checked(path, digest)


def test_an_out_that_is_a_dangling_link_is_said_to_be_one(tmp_path: Path) -> None:
    (tmp_path / "out").symlink_to("nowhere")
    with pytest.raises(WorkspaceError, match="out is a link to nothing"):
        check_folder(tmp_path / "out", OURS)


def test_a_figure_outside_its_interval_was_altered(tmp_path: Path) -> None:
    path = tmp_path / "record.json"
    path.write_text('{"value": 0.95, "low": 0.1, "high": 0.4, "n": 36}')
    with pytest.raises(WorkspaceError, match=r"json was altered.*0.95 is not within 0.1 to 0.4"):
        read_record(path, Estimate)
