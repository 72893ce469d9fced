"""The command line: ``tplus-trio``, or ``python -m tplus_trio``."""

from __future__ import annotations

import sys
from collections.abc import Sequence

from tplus_trio.cli.failure import INTERRUPTED, USAGE

__all__ = ["main"]

_NEEDED = frozenset({"click", "rich"})


def main(args: Sequence[str] | None = None) -> int:
    """Run a command line.

    Args:
        args: The arguments after the program's name; None reads ``sys.argv``.

    Returns:
        The exit status; see `tplus_trio.cli.failure.EXIT_STATUSES`.
    """
    try:
        from tplus_trio.cli.commands import run_command  # noqa: PLC0415 - click is an extra

        return run_command(args)
    except ModuleNotFoundError as exc:  # commands import what they need when they run
        if exc.name is None or exc.name.partition(".")[0] not in _NEEDED:
            raise
        sys.stderr.write('The command line needs click and rich: pip install "tplus_trio[cli]"\n')
        return USAGE
    except KeyboardInterrupt:  # the import takes a moment, and Ctrl-C may come during it
        return INTERRUPTED
