"""``python -m tests.fuzz.guided TARGET [-atheris_runs=N] [-seed=N]``: the same inputs, chosen by what code they reach.

It takes atheris, which is no dependency of the tests, and libFuzzer's options; it ends at the first finding.
"""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path
from random import Random

import atheris

from .runner import change

with atheris.instrument_imports(include=["tplus_trio"]):
    from .targets import TARGETS


def main() -> None:
    """Run one target for as long as the options say."""
    name = sys.argv.pop(1)
    target = TARGETS[name]
    seeds = {head.encode(): bodies for head, bodies in target.seeds.items()}

    def one(data: bytes) -> None:
        target(data)

    def mutate(data: bytes, max_size: int, seed: int) -> bytes:
        random = Random(seed)
        head, _, body = data.partition(b"\n")
        return change(target, random, {**seeds, head: [body]} if random.randrange(3) else {head: [body]})[:max_size]

    with tempfile.TemporaryDirectory() as folder:
        for n, data in enumerate(target.inputs()):
            (Path(folder) / str(n)).write_bytes(data)
        atheris.Setup([*sys.argv, f"-artifact_prefix={folder}-", folder], one, custom_mutator=mutate)
        atheris.Fuzz()


if __name__ == "__main__":
    main()
