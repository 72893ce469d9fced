"""The command line: ``tplus-trio``, or ``python -m tplus_trio``."""

from __future__ import annotations

import sys
from collections.abc import Sequence

from tplus_trio.cli.failure import INTERRUPTED

__all__ = ["main"]

_NEEDED = frozenset({"click", "rich"})


def main(args: Sequence[str] | None = None) -> int:
    """Run a command line.

    Args:
        args: The arguments after the program's name; None reads ``sys.argv``.

    Returns:
        The exit status: 0 for success, 1 for a failure, 2 for a usage error or a missing package, 130 after Ctrl-C or
        SIGTERM.
    """
    try:
        from tplus_trio.cli.commands import run_command  # noqa: PLC0415 - click and rich are an extra

        return run_command(args)
    except ModuleNotFoundError as exc:
        if exc.name is None or exc.name.partition(".")[0] not in _NEEDED:
            raise
        sys.stderr.write('The command line needs click and rich: pip install "tplus_trio[cli]"\n')
        return 2
    except KeyboardInterrupt:  # the import takes a moment, and Ctrl-C may come during it
        return INTERRUPTED
