"""Escaping of text from a service before it is shown."""

from __future__ import annotations

import json

__all__ = ["escape", "escape_json"]


def escape(text: str) -> str:
    r"""Return the text with every unprintable character escaped (``\x1b``, ``\n``), so that it fits on one line.

    Error messages, log records, reprs and terminal output pass every text of a service through this function.
    Otherwise such a text could forge lines of a log, or move the cursor of a terminal.
    """
    if text.isprintable():
        return text
    return "".join(
        character if character.isprintable() else character.encode("unicode_escape").decode("ascii")
        for character in text
    )


def escape_json(text: str) -> str:
    r"""Return JSON text with every unprintable character escaped as in JSON (``\u001b``). Its value does not change.

    The text must be valid JSON on one line. Unprintable characters then occur in strings only.
    """
    if text.isprintable():
        return text
    return "".join(character if character.isprintable() else json.dumps(character)[1:-1] for character in text)
