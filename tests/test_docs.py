"""Words that run: commands and links of README and docs."""

from __future__ import annotations

import doctest
import re
import shlex
from pathlib import Path

import pytest

from tellapart.cli import app, main
from tests.pages import make_map, make_options

ROOT = Path(__file__).parent.parent
PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").glob("*.md"))]
COMMAND = re.compile(r"^ {4,}(tellapart .*)$|`(tellapart [a-z][^`]*)`", re.MULTILINE)


def list_commands() -> list[str]:
    """Return every tellapart command that the pages show."""
    found = []
    for page in PAGES:
        text = page.read_text().replace("\\\n", " ")
        found += [(line or inline).split(" #")[0].strip() for line, inline in COMMAND.findall(text)]
    return sorted(set(found))


def test_pages_show_commands() -> None:
    assert any(command.startswith("tellapart study") for command in list_commands())


@pytest.mark.parametrize("command", list_commands())
def test_command_is_understood(command: str) -> None:
    arguments = shlex.split(command)[1:]
    if arguments and arguments[0].startswith("--"):
        return
    app.parse_args(arguments, exit_on_error=False, print_error=False)


@pytest.fixture(scope="module")
def features(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A cache for all commands, so that the backbone's features are computed once."""
    return tmp_path_factory.mktemp("cache")


SHOWN = [command for command in list_commands() if re.match(r"tellapart \w+ digits", command)]
README = (ROOT / "README.md").read_text()


@pytest.mark.parametrize(
    "command",
    [
        command
        if command in README and "--labels" not in command
        else pytest.param(command, marks=pytest.mark.slow)
        for command in SHOWN
    ],
)
def test_command_runs(
    command: str,
    features: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    if "study" in command:
        pytest.skip("the whole study runs in make study and in tests/study")
    monkeypatch.setenv("TELLAPART_CACHE", str(features))
    monkeypatch.chdir(tmp_path)
    assert main([*shlex.split(command)[1:]]) == 0
    assert "report.html" in capsys.readouterr().out


def test_pages_that_are_made_from_the_code_are_new() -> None:
    """Otherwise: python -m tests.pages."""
    assert (ROOT / "docs/options.md").read_text(encoding="utf-8") == make_options()
    assert make_map() in (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")


def test_the_readme_is_short() -> None:
    assert len((ROOT / "README.md").read_text(encoding="utf-8").split()) <= 600


@pytest.mark.parametrize("name", ["README.md", "docs/python.md"])
def test_python_sessions_run(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    failed, tried = doctest.testfile(str(ROOT / name), module_relative=False)
    assert tried >= 4 and failed == 0


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_lead_somewhere(page: Path) -> None:
    for target in re.findall(r"\]\(([^)#]+)", page.read_text()):
        if not target.startswith("https://"):
            assert (page.parent / target).exists(), target


def test_every_make_target_in_the_pages_exists() -> None:
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    for page in PAGES:
        named = set(re.findall(r"(?:^ {4,}|`)make ([a-z-]+)", page.read_text(), re.M))
        assert named <= targets, page
