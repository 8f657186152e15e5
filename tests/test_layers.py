from __future__ import annotations

import ast
import subprocess
import sys
from collections.abc import Iterator
from graphlib import TopologicalSorter
from pathlib import Path

import pytest

SRC = Path(__file__).resolve().parents[1] / "src" / "tellapart"

BANDS: tuple[set[str], ...] = (
    {"errors", "words"},
    {"config", "records"},
    {"device", "stop"},
    {"workspace"},
    {"lock"},
    {"data", "metrics"},
    {"models"},
    {"train", "audit"},
    {"evaluate", "transfer"},
    {"cells", "search", "report", "predict"},
    {"study"},
    {"console"},
    {"cli"},
    {"__main__"},
)
"""From the ground up; a part imports from lower bands alone."""

BLIND: dict[str, set[str]] = {
    "search": {"data", "train"},  # it is handed what trains
    "report": {"config", "device", "data", "metrics", "models", "train", "audit"},  # records only
    "console": {"study", "data", "models", "train"},
}
"""What a part could import by its band, and must not."""

TORCH_FREE = {
    *("errors", "words", "config", "records", "device", "stop", "workspace", "lock", "data"),
    *("metrics", "audit", "search", "report", "console", "cli"),
}
OPENS_TEST = {
    *("evaluate.py", "data/split.py", "audit/__init__.py"),
    *(
        f"audit/checks/{name}.py" for name in ("copies", "drift", "groups")
    ),  # labels and scores apart
    "study/steps/labels.py",  # scores no image of it
}
READS_RECORD = {"study/compare.py", "study/handover.py"}  # of what a test showed
PIPES = {  # no file is written
    "os.fdopen(os.dup(1), 'wb')",
    "os.fdopen(number, 'wb', closefd=False)",
    "os.open(os.devnull, os.O_RDWR)",
}
WRITERS = {"workspace.py", "data/download.py"}  # the second writes while bytes come in

FILES = sorted(SRC.rglob("*.py"))
TREES = {file.relative_to(SRC).as_posix(): ast.parse(file.read_text("utf-8")) for file in FILES}


def part_of(file: str) -> str:
    return file.partition("/")[0].removesuffix(".py")


def module_of(file: str) -> str:
    name = "tellapart." + file.removesuffix(".py").replace("/", ".")
    return name.removesuffix(".__init__")


def imports_of(tree: ast.AST) -> Iterator[tuple[str, str]]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from ((alias.name, "") for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, "imports are absolute"
            assert node.module is not None
            yield from ((node.module, alias.name) for alias in node.names)


def targets_of(tree: ast.AST) -> Iterator[str]:
    modules = {module_of(file) for file in TREES}
    for module, name in imports_of(tree):
        if module.partition(".")[0] == "tellapart" and name != "__version__":
            yield f"{module}.{name}" if f"{module}.{name}" in modules else module


RANK = {part: rank for rank, band in enumerate(BANDS) for part in band}


def test_every_part_has_its_place() -> None:
    assert {part_of(file) for file in TREES} - {"__init__"} == set(RANK)


@pytest.mark.parametrize("file", [file for file in TREES if file != "__init__.py"])
def test_imports_go_down(file: str) -> None:
    own = part_of(file)
    for target in targets_of(TREES[file]):
        assert target != "tellapart", "from the front door only __version__"
        part = target.split(".")[1]
        assert part == own or RANK[part] < RANK[own], f"{file} imports {target}"
        assert part not in BLIND.get(own, set()), f"{file} imports {target}"


def test_no_modules_import_each_other() -> None:
    graph = {
        module_of(file): set(targets_of(tree)) - {module_of(file)}
        for file, tree in TREES.items()
        if file != "__init__.py"
    }
    assert len(list(TopologicalSorter(graph).static_order())) == len(graph)


def at_module_level(tree: ast.Module) -> Iterator[ast.stmt]:
    for node in tree.body:
        guarded = isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING"
        if not guarded and not isinstance(node, ast.FunctionDef):
            yield node


@pytest.mark.parametrize("file", [file for file in TREES if part_of(file) in TORCH_FREE])
def test_torch_is_not_imported_at_module_level(file: str) -> None:
    found = {
        name.partition(".")[0]
        for node in at_module_level(TREES[file])
        for name, _ in imports_of(node)
    }
    assert not found & {"torch", "timm", "openvino", "optuna"}


def run_fresh(*args: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, *args], capture_output=True, text=True, timeout=120, check=False
    )


def test_a_fresh_process_loads_no_torch() -> None:
    modules = sorted(module_of(file) for file in TREES if part_of(file) in TORCH_FREE)
    assert {"tellapart.cli", "tellapart.report.page"} <= set(modules)
    code = f"import sys, {', '.join(modules)}; assert 'torch' not in sys.modules"
    done = run_fresh("-c", code)
    assert done.returncode == 0, done.stderr


def test_help_needs_no_torch() -> None:
    done = run_fresh("-X", "importtime", "-m", "tellapart", "--help")
    loaded = {line.rpartition("|")[2].strip() for line in done.stderr.splitlines()}
    assert done.returncode == 0
    assert "study" in done.stdout
    assert "tellapart.cli" in loaded
    assert "torch" not in loaded


def test_the_test_split_has_few_readers() -> None:
    readers = {
        file
        for file, tree in TREES.items()
        if part_of(file) != "report"  # it cannot import data, so its .test is a record's
        for node in ast.walk(tree)
        if isinstance(node, ast.Attribute) and node.attr == "test"
    }
    assert readers == OPENS_TEST | READS_RECORD


def find_writes(tree: ast.Module) -> Iterator[str]:
    """Calls that write a file; ``save`` and ``savefig`` may write into a buffer in memory."""
    buffers = {
        target.id
        for node in ast.walk(tree)
        if isinstance(node, ast.Assign) and ast.unparse(node.value) == "io.BytesIO()"
        for target in node.targets
        if isinstance(target, ast.Name)
    }
    for node in ast.walk(tree):
        if not isinstance(node, ast.Call):
            continue
        called, text = ast.unparse(node.func), ast.unparse(node)
        modes = [*node.args[1:2], *(k.value for k in node.keywords if k.arg == "mode")]
        method = called.rpartition(".")[2] if isinstance(node.func, ast.Attribute) else ""
        if method == "open" and not called.startswith(("os.", "tarfile.", "Image.", "opener.")):
            modes += node.args[:1]
        if text in PIPES:
            continue
        opens = called == "open" or method == "open"
        if opens and any(set(str(getattr(m, "value", "w"))) & set("wax+") for m in modes):
            yield text
        if called in ("os.link", "os.replace", "os.rename", "os.fdopen", "shutil.copyfile"):
            yield text
        if method in ("write_text", "write_bytes", "touch", "to_csv", "save_file"):
            yield text
        if method in ("save", "savez", "savefig", "dump") and not (
            buffers & {ast.unparse(argument) for argument in node.args[:2]}
        ):
            yield text


def test_files_are_written_through_the_workspace() -> None:
    for file in WRITERS:
        assert list(find_writes(TREES[file])), f"{file} writes no more: take it off the list"
    written = {file: list(find_writes(tree)) for file, tree in TREES.items() if file not in WRITERS}
    assert {file: calls for file, calls in written.items() if calls} == {}


@pytest.mark.parametrize(
    "line",
    [
        'open(path, "w")',
        'path.open("wb")',
        'path.open(mode="a")',
        "path.write_text(text)",
        "np.save(path, rows)",
        "figure.savefig(path)",
        "torch.save(network, path)",
        "os.replace(beside, path)",
    ],
)
def test_a_write_is_seen(line: str) -> None:
    assert list(find_writes(ast.parse(line)))


@pytest.mark.parametrize("line", ["open(path)", 'open(path, "rb")', "write_text(path, text)"])
def test_reading_is_no_write(line: str) -> None:
    assert not list(find_writes(ast.parse(line)))
