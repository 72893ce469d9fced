"""What a service says, made fit to be shown."""

from __future__ import annotations

__all__ = ["escape"]


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
