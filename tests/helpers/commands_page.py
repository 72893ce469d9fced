"""What docs/commands.md shows: command lines, and samples of JSON."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any, Final

__all__ = ["LINES", "PAGE", "SAMPLES"]

PAGE: Final = (Path(__file__).parents[2] / "docs/commands.md").read_text(encoding="utf-8")
#: The command lines.
LINES: Final = [
    line.removeprefix("$ ")
    for block in re.findall(r"```(?:sh|console)\n(.*?)```", PAGE, re.DOTALL)
    for line in block.splitlines()
    if line.removeprefix("$ ").startswith("tplus-trio ")
]
#: The samples by their kinds.
SAMPLES: Final[dict[str, dict[str, Any]]] = {
    item["kind"]: item
    for block in re.findall(r"```json\n(.*?)```", PAGE, re.DOTALL)
    for item in map(json.loads, block.splitlines())
}
