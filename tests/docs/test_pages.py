"""What holds for every page: its links lead somewhere, its code is tested, its commands exist, the sidebar has it."""

from __future__ import annotations

import ast
import re
import runpy
import shlex
from pathlib import Path

import pytest

import tplus_trio
from tests.helpers.pages import DOCS, ROOT, blocks, text_of
from tplus_trio import testing
from tplus_trio.cli import main

PAGES = sorted([*ROOT.glob("*.md"), *DOCS.rglob("*.md")])
NAMES = [path.relative_to(ROOT).as_posix() for path in PAGES]
SITE = [path.relative_to(DOCS).as_posix() for path in PAGES if DOCS in path.parents]
TESTS = "\n".join(path.read_text(encoding="utf-8") for path in sorted(Path(__file__).parent.glob("*.py")))
#: Pages whose blocks are files of their own, so that no function of them is called by name.
FILES = {
    "howto/test_with_virtual_time.md",
    "howto/test_recipes.md",
    "howto/record_and_replay.md",
    "start/first_bot.md",
    "start/first_test.md",
}


def slug(heading: str) -> str:
    """Return the anchor that GitHub and MyST give to a heading."""
    text = re.sub(r"\[([^]]*)\]\([^)]*\)", r"\1", heading)
    return re.sub(r"[^\w\- ]", "", text.replace("`", "").lower().strip()).replace(" ", "-")


def anchors(path: Path) -> set[str]:
    text = re.sub(r"^```.*?^```", "", path.read_text(encoding="utf-8"), flags=re.DOTALL | re.MULTILINE)
    return {slug(heading) for heading in re.findall(r"^#{1,4} (.*)$", text, re.MULTILINE)}


def broken(path: Path, text: str) -> list[str]:
    """Return the links of a page that lead nowhere."""
    found: list[str] = []
    for link in re.findall(r"\]\(([^)\s]+)\)", re.sub(r"^```.*?^```", "", text, flags=re.DOTALL | re.MULTILINE)):
        if "://" not in link:
            file, _, anchor = link.partition("#")
            target = path.parent / file if file else path
            if not target.is_file() or (anchor and anchor not in anchors(target)):
                found.append(link)
    return found


@pytest.mark.parametrize("page", NAMES)
def test_links_lead_somewhere(page: str) -> None:
    assert broken(ROOT / page, (ROOT / page).read_text(encoding="utf-8")) == []


def test_a_broken_link_is_found() -> None:
    text = "[a](README.md) [b](no.md) [c](README.md#no) [d](docs/design.md#the-house) [e](#contributing)"
    assert broken(ROOT / "CONTRIBUTING.md", text) == ["no.md", "README.md#no"]


def test_every_page_is_in_the_sidebar_once() -> None:
    trees = "\n".join(blocks("index.md", r"\{toctree\}"))
    listed = re.findall(r"^[a-z][\w/]*$", trees, re.MULTILINE)
    assert sorted(f"{name}.md" for name in listed) == sorted(set(SITE) - {"index.md"})


@pytest.mark.parametrize("page", SITE)
def test_a_page_has_one_title_and_begins_with_an_answer(page: str) -> None:
    lines = [line for line in text_of(page).splitlines() if line and not line.startswith("<!--")]
    if lines[0].startswith("```{include}"):
        return
    assert lines[0].startswith("# ")
    assert not lines[1].startswith(("#", "```"))
    body = re.sub(r"^```.*?^```", "", text_of(page), flags=re.DOTALL | re.MULTILINE)
    assert len(re.findall(r"^# ", body, re.MULTILINE)) == 1


@pytest.mark.parametrize("page", [page for page in SITE if blocks(page)])
def test_every_block_of_code_is_tested(page: str) -> None:
    assert f'"{page}"' in TESTS, "run its blocks in a test of this folder: see tests/helpers/pages.py"
    for block in () if page in FILES else blocks(page):
        for node in ast.parse(block).body:
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
                used = f'["{node.name}"]' in TESTS or len(re.findall(rf"\b{node.name}\b", block)) > 1
                assert used, f"no test calls {node.name}"


def help_of(words: list[str], capsys: pytest.CaptureFixture[str]) -> str:
    """Return the help of a command and, where it has commands of its own, of the one that is named."""
    text = ""
    for n in (1, 2):
        if main([*words[:n], "--help"]) == 0:
            text += capsys.readouterr().out
    capsys.readouterr()
    return text


@pytest.mark.parametrize("page", ["../README.md", "../CONTRIBUTING.md", *SITE])
def test_every_command_and_its_options_exist(page: str, capsys: pytest.CaptureFixture[str]) -> None:
    shown = "\n".join([*blocks(page, "sh"), *re.findall(r"`([^`\n]+)`", text_of(page))])
    for command in re.findall(r"^(?:.*&& )?(?:python -m tplus_trio|tplus-trio) (\w.*)", shown, re.MULTILINE):
        words = shlex.split(command)
        found = help_of(words, capsys)
        assert found, f"there is no command {words[0]}"
        for word in words:
            assert not word.startswith("-") or re.search(rf"(?<![\w-]){word.partition('=')[0]}\b", found), command


@pytest.mark.parametrize("page", ["../README.md", "../CONTRIBUTING.md", *SITE])
def test_every_script_exists(page: str) -> None:
    text = text_of(page)
    shown = "\n".join([*blocks(page, "sh"), *re.findall(r"`([^`\n]+)`", text)])
    for script in re.findall(r"(?:^|&& )python ([\w/]+\.py)", shown, re.MULTILINE):
        assert (ROOT / script).is_file() or f"`{script}`" in text, script


def test_every_public_name_is_on_one_page_of_the_reference() -> None:
    module = runpy.run_path(str(DOCS / "write_reference.py"))
    listed: dict[str, list[str]] = {}
    for page in module["PAGES"].values():
        listed.setdefault(page.package, []).extend(name for name, _ in module["names"](page))
    assert sorted(listed["tplus_trio"]) == tplus_trio.__all__
    assert sorted(listed["tplus_trio.testing"]) == testing.__all__


def test_the_pages_of_the_reference_follow_from_the_names() -> None:
    module = runpy.run_path(str(DOCS / "write_reference.py"))
    for key, page in module["PAGES"].items():
        assert text_of(f"reference/{key}.md") == module["written"](page), "run `python docs/write_reference.py`"
