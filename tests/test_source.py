"""What keeps the source easy to change: short files, small classes, imports in one place, a lock that is complete."""

from __future__ import annotations

import ast
import re
import tomllib
from collections.abc import Iterator
from pathlib import Path

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

import tplus_trio

PACKAGE = Path(tplus_trio.__file__).parent
ROOT = PACKAGE.parent
SOURCES = sorted(PACKAGE.rglob("*.py"))
TESTS = sorted((ROOT / "tests").rglob("*.py"))

MOST_LINES = 400
MOST_ATTRIBUTES = 10
#: A class with more has a comment that says why: right above it, or before its first method ends.
REASON = re.compile(r"#.*\battributes\b")


def name(path: Path) -> str:
    """Return the path of a file from the root of the repository."""
    return path.relative_to(ROOT).as_posix()


def test_no_file_is_longer_than_400_lines() -> None:
    assert Path(__file__).resolve() in TESTS
    lengths = {name(path): len(path.read_text(encoding="utf-8").splitlines()) for path in (*SOURCES, *TESTS)}
    too_long = {path: lines for path, lines in lengths.items() if lines > MOST_LINES}
    assert not too_long, "split a file by its reasons to change"


def attributes(node: ast.ClassDef) -> set[str]:
    """Return the names that an instance has: fields of attrs classes, and what ``__init__`` assigns to ``self``."""
    found = set()
    for statement in node.body:
        if isinstance(statement, ast.AnnAssign) and isinstance(statement.target, ast.Name):
            if node.decorator_list and "ClassVar" not in ast.unparse(statement.annotation):
                found.add(statement.target.id)
        elif isinstance(statement, ast.FunctionDef) and statement.name in {"__init__", "__attrs_post_init__"}:
            found |= {
                target.attr
                for target in ast.walk(statement)
                if isinstance(target, ast.Attribute)
                and isinstance(target.ctx, ast.Store)
                and isinstance(target.value, ast.Name)
                and target.value.id == "self"
            }
    return found


def large_classes(source: str) -> Iterator[str]:
    """Name the classes that have more than ten attributes and give no reason."""
    lines = source.splitlines()
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.ClassDef) and len(found := attributes(node)) > MOST_ATTRIBUTES:
            first = min([node.lineno, *(decorator.lineno for decorator in node.decorator_list)])
            methods = [part.end_lineno for part in node.body if isinstance(part, ast.FunctionDef)]
            if not REASON.search("\n".join(lines[max(first - 4, 0) : (methods or [node.end_lineno])[0]])):
                yield f"{node.name} has {len(found)} attributes: {', '.join(sorted(found))}"


def test_no_class_has_more_than_ten_attributes_without_a_reason() -> None:
    # Models have the fields of the wire, however many those are.
    sources = [path for path in SOURCES if path.parent != PACKAGE / "models"]
    assert not {name(path): found for path in sources if (found := list(large_classes(path.read_text("utf-8"))))}


def test_a_large_class_is_found_unless_it_gives_a_reason() -> None:
    fields = "\n".join(f"        self.field_{i}, self.other_{i} = 0, 0" for i in range(6))
    source = f"class Large:\n    def __init__(self):\n{fields}\n"
    assert [found.partition(",")[0] for found in large_classes(source)] == ["Large has 12 attributes: field_0"]
    assert not list(large_classes(f"# Twelve attributes: one for each key of a header.\n{source}"))
    declared = "\n".join(f"    field_{i}: int" for i in range(11))
    assert list(large_classes(f"@attrs.frozen\nclass Large:\n{declared}\n"))


def test_only_the_command_line_and_the_testing_kit_use_the_public_names() -> None:
    """Other modules stand below `tplus_trio` itself: they import from the module that defines a name."""
    users = {
        path.relative_to(PACKAGE).parts[0]
        for path in SOURCES
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.ImportFrom) and node.module == "tplus_trio"
        for alias in node.names
        if not (PACKAGE / f"{alias.name}.py").exists() and not (PACKAGE / alias.name).is_dir()
    }
    assert users <= {"cli", "testing"}


def test_the_lock_pins_all_that_development_needs() -> None:
    pins: dict[str, set[str]] = {}
    lock = (ROOT / "requirements-dev.txt").read_text(encoding="utf-8")
    for pin, version in re.findall(r"^([\w.-]+)==(\S+)", lock, re.MULTILINE):
        pins.setdefault(canonicalize_name(pin), set()).add(version)
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    lists = [
        project["project"]["dependencies"],
        *project["project"]["optional-dependencies"].values(),
        *project["dependency-groups"].values(),
    ]
    needed = [Requirement(line) for part in lists for line in part if isinstance(line, str)]
    missing = [
        str(need)
        for need in needed
        if not any(need.specifier.contains(version) for version in pins.get(canonicalize_name(need.name), ()))
    ]
    assert not missing, "requirements-dev.txt is old: run `nox -s lock`"
    assert "://" not in lock, "the lock names no index: developers have their own"


def test_the_citation_names_the_version() -> None:
    version = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]["version"]
    assert f"\nversion: {version}\n" in (ROOT / "CITATION.cff").read_text(encoding="utf-8")
