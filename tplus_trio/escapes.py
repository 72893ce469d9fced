"""What a service says, made fit to be shown."""

from __future__ import annotations

import json

__all__ = ["escape", "escape_json"]


def escape(text: str) -> str:
    r"""A text on one line and without control characters: what is not printable is escaped (``\x1b``, ``\n``).

    Whatever shows text of a service passes it through here first: error messages, log records, reprs and output. A text
    could otherwise forge lines of a log, or move the cursor of a terminal.
    """
    if text.isprintable():
        return text
    return "".join(
        character if character.isprintable() else character.encode("unicode_escape").decode("ascii")
        for character in text
    )


def escape_json(text: str) -> str:
    r"""JSON text with the same characters escaped as JSON escapes them (``\u001b``): it means what it meant.

    In valid JSON on one line they stand in strings only.
    """
    if text.isprintable():
        return text
    return "".join(character if character.isprintable() else json.dumps(character)[1:-1] for character in text)
