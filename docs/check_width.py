"""Check in headless Chromium that no page scrolls sideways: ``python docs/check_width.py FOLDER [WIDTH ...]``.

FOLDER is what ``sphinx-build`` wrote; widths are in pixels, 1280 if none is named. The exit status is 1 if a page is
too wide, and 2 without Chromium.
"""

from __future__ import annotations

import html
import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

#: Puts each page into a frame of the width, and writes how wide its contents are.
SCRIPT = """
<!doctype html><title>widths</title><pre id="found"></pre>
<script>
const found = document.getElementById("found");
async function measure(page, width) {
  const frame = document.createElement("iframe");
  frame.style.cssText = `width: ${width}px; height: 900px; border: 0`;
  frame.src = page;
  document.body.append(frame);
  await new Promise((done) => { frame.onload = done; });
  found.textContent += `${width} ${frame.contentDocument.documentElement.scrollWidth} ${page}\\n`;
  frame.remove();
}
(async () => { for (const width of WIDTHS) for (const page of PAGES) await measure(page, width); })();
</script>
"""


def browser() -> str | None:
    """Return the path of Chromium; None if it is not installed."""
    return next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)


def too_wide(folder: Path, widths: list[int]) -> list[str]:
    """Return a line for each page that is wider than its frame.

    Raises:
        RuntimeError: Chromium did not measure all pages.
    """
    pages = sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*.html"))
    urls = [f"{folder.resolve().as_uri()}/{page}" for page in pages]
    text = SCRIPT.replace("WIDTHS", str(widths)).replace("PAGES", str(urls))
    with tempfile.TemporaryDirectory() as scratch:
        start = Path(scratch) / "widths.html"
        start.write_text(text, encoding="utf-8")
        command = [
            *(str(browser()), "--headless", "--no-sandbox", "--disable-gpu", f"--user-data-dir={scratch}/profile"),
            *("--allow-file-access-from-files", "--virtual-time-budget=600000", "--dump-dom", start.as_uri()),
        ]
        done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=300)
    rows = re.findall(r"^(?:.*>)?(\d+) (\d+) (.*)$", html.unescape(done.stdout), re.MULTILINE)
    if len(rows) != len(pages) * len(widths):
        msg = f"Chromium measured {len(rows)} of {len(pages) * len(widths)} pages: {done.stderr[-500:]}"
        raise RuntimeError(msg)
    return [f"{page} is {found} px wide in {width}" for width, found, page in rows if int(found) > int(width)]


def main() -> int:
    """Check, and print what is too wide."""
    folder, *widths = sys.argv[1:]
    if browser() is None:
        print("chromium is not installed")
        return 2
    lines = too_wide(Path(folder), [int(width) for width in widths] or [1280])
    print("\n".join(lines) or "no page scrolls sideways")
    return 1 if lines else 0


if __name__ == "__main__":
    sys.exit(main())
