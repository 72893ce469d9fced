"""What an operation leaves to the garbage collector."""

from __future__ import annotations

import gc
from collections import Counter
from collections.abc import Generator
from contextlib import contextmanager

__all__ = ["uncollected"]


@contextmanager
def uncollected() -> Generator[Counter[str]]:
    """Counts the client's objects that the body leaves in cycles. The exchange's do not count."""
    found = Counter[str]()
    gc.collect()
    gc.disable()
    gc.set_debug(gc.DEBUG_SAVEALL)
    try:
        yield found
        gc.collect()
        names = [f"{type(thing).__module__}.{type(thing).__qualname__}" for thing in gc.garbage]
        names += [
            f"frame of {code.co_qualname}"
            for thing in gc.garbage
            if (code := getattr(thing, "f_code", None)) is not None and _is_ours(code.co_filename.replace("/", "."))
        ]
        found.update(name for name in names if _is_ours(name) or name.startswith("frame of "))
    finally:
        gc.set_debug(0)
        gc.garbage.clear()
        gc.enable()
        gc.collect()


def _is_ours(name: str) -> bool:
    return ("tplus_trio." in name and "tplus_trio.testing." not in name) or name.startswith("httpx.")
