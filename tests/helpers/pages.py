"""The documents, and the blocks of code in them."""

from __future__ import annotations

import logging
import re
import signal
from decimal import ROUND_DOWN, Decimal
from pathlib import Path
from typing import Any, Final

import trio

import tplus_trio

__all__ = ["DOCS", "ROOT", "blocks", "define", "text_of"]

ROOT: Final = Path(__file__).parents[2]
DOCS: Final = ROOT / "docs"
#: What a page may use without importing it.
_KNOWN: Final = {"trio": trio, "signal": signal, "logging": logging, "Decimal": Decimal, "ROUND_DOWN": ROUND_DOWN}


def text_of(page: str) -> str:
    """Return a page, named by its path from ``docs/``."""
    return (DOCS / page).read_text(encoding="utf-8")


def blocks(page: str, language: str = "python") -> list[str]:
    """Return the blocks of code of a page that are in a language."""
    return re.findall(rf"^```{language}\n(.*?)^```", text_of(page), re.DOTALL | re.MULTILINE)


def define(*pages: str, without: str = "\x00", **given: Any) -> dict[str, Any]:
    """Run the blocks of pages in turn, and return the names that they define.

    Args:
        pages: The pages.
        without: Blocks that contain this text are left out, and the line ``trio.run(main)`` of a program is.
        given: Names that the blocks use.
    """
    names: dict[str, Any] = {name: getattr(tplus_trio, name) for name in tplus_trio.__all__} | _KNOWN | given
    for page in pages:
        for block in blocks(page):
            if without not in block:
                program = re.sub(r"^trio\.run\(main\).*\n", "", block, flags=re.MULTILINE)
                exec(compile(program, page, "exec"), names)
    return names
