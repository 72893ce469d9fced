"""What a person types: ``tplus-trio``, or ``python -m tplus_trio``."""

from __future__ import annotations

import sys
from collections.abc import Sequence

from tplus_trio.cli.failure import INTERRUPTED

__all__ = ["main"]

_NEEDED = frozenset({"click", "rich"})


def main(args: Sequence[str] | None = None) -> int:
    """Run a command line.

    Args:
        args: What follows the program's name; None takes it from ``sys.argv``.

    Returns:
        The exit status: 0 where all went well, 1 where something failed, 2 for a command that was not
        understood, 130 where it was interrupted.
    """
    try:
        from tplus_trio.cli.commands import run_command  # noqa: PLC0415 - click and rich are an extra
    except ModuleNotFoundError as exc:
        if exc.name is None or exc.name.partition(".")[0] not in _NEEDED:
            raise
        sys.stderr.write('The command line needs click and rich: pip install "tplus_trio[cli]"\n')
        return 2
    except KeyboardInterrupt:  # loading takes a moment, and Ctrl-C is no less welcome in it
        return INTERRUPTED
    return run_command(args)
