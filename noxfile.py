"""The checks as sessions: ``nox --list`` names them, ``nox`` runs all of them, ``nox -s lint`` runs one.

A session whose interpreter is not installed is left out and named in the summary.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import nox

nox.needs_version = ">=2025.5.1"
nox.options.default_venv_backend = "uv"
nox.options.download_python = "never"
nox.options.error_on_missing_interpreters = False

PYTHONS = ["3.11", "3.12", "3.13", "3.14"]
# Simulations and sweeps take minutes, and search for defects that depend on no version of anything.
WITHOUT_LONG = ("-m", "not long")
EVERYTHING = ("--group", "dev", "--editable", ".[cli,testing,docs,web]")

# The versions of these are printed before the tests: they are what the package runs on.
PARTS = "attrs cattrs cryptography httpcore httpx msgspec trio trio-websocket wsproto pytest pytest-trio hypothesis"


def find_pyenv() -> None:
    """Put the interpreters of pyenv into PATH. Its shims exist also for versions that are not active."""
    root = Path(os.environ.get("PYENV_ROOT", Path.home() / ".pyenv"))
    for version in PYTHONS:
        found = root.glob(f"versions/{version}.*/bin")
        newest = max(found, key=lambda path: [int(part) for part in re.findall(r"\d+", path.parent.name)], default=None)
        if newest:
            os.environ["PATH"] = os.pathsep.join([str(newest), os.environ["PATH"]])


def works(version: str) -> bool:
    """Return whether this interpreter is installed."""
    command = shutil.which(f"python{version}")
    return command is not None and subprocess.run([command, "-c", "import venv"], check=False).returncode == 0


find_pyenv()
THIS = "{}.{}".format(*sys.version_info)
# Before a change lands, the tests run on this Python and on the newest other one.
BEFORE_LANDING = [THIS, *[version for version in reversed(PYTHONS) if version != THIS and works(version)][:1]]


@nox.session(tags=["ci"])
def lint(session: nox.Session) -> None:
    """Check style, structured concurrency, spelling and the layers, as `.pre-commit-config.yaml` does at a commit."""
    session.install("--group", "lint", "--editable", ".")
    session.run("pre-commit", "run", "--all-files")


@nox.session(tags=["ci"])
def types(session: nox.Session) -> None:
    """Check the types with mypy and pyright, as `.pre-commit-config.yaml` does before a push."""
    session.install(*EVERYTHING)
    session.run("pre-commit", "run", "--all-files", "--hook-stage", "pre-push")


@nox.session(tags=["ci"])
def docs(session: nox.Session) -> None:
    """Build the documents; a warning is an error, a link that leads nowhere too. With Chromium, check their width."""
    session.install(".[docs,testing]")  # not editable: the package is built and installed as users install it
    folder = Path(session.create_tmp()) / "docs"
    session.run("sphinx-build", "-W", "-q", "docs", str(folder))
    session.run("python", "docs/check_width.py", str(folder), success_codes=[0, 2])  # 2: there is no Chromium
    session.log(f"{folder / 'index.html'} is the first page")


#: What the wheel is asked for in an environment in which nothing else is installed.
IMPORTS = """
from importlib.util import find_spec
from tplus_trio import MarketDataClient, OrderBookClient
MarketDataClient("http://127.0.0.1:8011"), OrderBookClient("http://127.0.0.1:3032")
extras = [name for name in ("click", "rich", "pytest", "hypothesis", "sphinx") if find_spec(name)]
assert not extras, extras
"""


@nox.session(tags=["ci"])
def package(session: nox.Session) -> None:
    """Build sdist and wheel, check both, install the wheel alone, and list what came with it (an SBOM)."""
    session.install("build", "twine", "check-wheel-contents", "cyclonedx-bom", "uv")
    folder = Path(session.create_tmp()) / "package"
    shutil.rmtree(folder, ignore_errors=True)
    # The time of the commit: the same commit gives the same bytes.
    date = subprocess.run(
        ["git", "log", "-1", "--format=%ct"], capture_output=True, text=True, check=True
    ).stdout.strip()
    session.run("python", "-m", "build", "--outdir", str(folder / "dist"), ".", env={"SOURCE_DATE_EPOCH": date})
    (sources,) = map(str, (folder / "dist").glob("*.tar.gz"))
    (wheel,) = map(str, (folder / "dist").glob("*.whl"))
    session.run("twine", "check", "--strict", sources, wheel)
    session.run("check-wheel-contents", wheel)
    alone = folder / "alone"
    session.run("uv", "venv", "--quiet", str(alone))
    session.run("uv", "pip", "install", "--quiet", "--python", str(alone), wheel)
    session.run(str(alone / "bin" / "python"), "-I", "-c", IMPORTS, external=True)
    session.run("cyclonedx-py", "environment", "--output-file", str(folder / "sbom.cdx.json"), str(alone))
    session.log(f"{folder / 'dist'} and {folder / 'sbom.cdx.json'} are what a release publishes")


def run_tests(session: nox.Session, *options: str) -> None:
    """Print what is tested with, and run the tests, or the command after ``--``."""
    frozen = str(session.run("python", "-m", "pip", "freeze", silent=True))
    parts = [line for line in frozen.splitlines() if line.partition("==")[0] in PARTS.split()]
    version = str(session.run("python", "--version", silent=True)).strip()
    session.log(f"{version}; {' '.join(parts)}")
    session.run(*(session.posargs or ("pytest", "-q", "-n", "auto", *options)))


@nox.session(venv_backend="venv")
@nox.parametrize(
    "python",
    [nox.param(version, id=version, tags=["ci", "suite"] if version in BEFORE_LANDING else []) for version in PYTHONS],
)
def tests(session: nox.Session) -> None:
    """Run the tests with the newest versions, installed by the commands of README.md; the long ones on one Python."""
    if len(BEFORE_LANDING) == 1:
        session.warn(f"Python {THIS} is the only one of {', '.join(PYTHONS)} on this machine")
    session.run("python", "-m", "pip", "install", "--quiet", "--upgrade", "pip")
    session.install(*EVERYTHING)
    run_tests(session, *(() if session.python == THIS else WITHOUT_LONG))


@nox.session(tags=["ci", "suite"])
def lowest(session: nox.Session) -> None:
    """Run the tests with the lowest versions of the direct dependencies that pyproject.toml allows; no long ones."""
    session.install("pip")
    session.install("--resolution", "lowest-direct", "--group", "test", "--editable", ".[cli,testing,web]")
    run_tests(session, *WITHOUT_LONG)


@nox.session(default=False)
def lock(session: nox.Session) -> None:
    """Write requirements-dev.txt anew: the newest versions of everything in EVERYTHING, with hashes."""
    session.install("uv")
    session.run(
        *("uv", "pip", "compile", "--quiet", "--upgrade", "--universal", "--python-version", PYTHONS[0]),
        *(
            "--generate-hashes",
            "--no-emit-index-url",
            "--no-emit-find-links",
            "--custom-compile-command",
            "nox -s lock",
        ),
        *("--group", "dev", "--extra", "cli", "--extra", "testing", "--extra", "docs", "--extra", "web"),
        *("--output-file", "requirements-dev.txt", "pyproject.toml"),
    )
