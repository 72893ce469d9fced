"""The page in a headless Chromium."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager

import pytest
import trio

from tests.cli.web.pages import open_page
from tests.helpers.browser import CHROMIUM, Page, open_browser
from tplus_trio.testing import Exchange, MemoryNetwork

pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="Chromium is not installed: apt-get install chromium")

LEVELS = "document.querySelectorAll('#ladder .ask, #ladder .bid').length"
FITS = "document.documentElement.scrollWidth <= innerWidth"


@asynccontextmanager
async def open_shown(network: MemoryNetwork) -> AsyncGenerator[Page]:
    async with open_page(network) as url, open_browser() as page:
        await page.open(url, 1280, 800)
        await page.wait_for("document.title === 'LIVE 200'")
        yield page


async def has_no_problem(page: Page) -> bool:
    """Whether nothing broke, and the policy of the page kept nothing back but the style of the maps of plotly."""
    await page.get("0")
    return [problem for problem in page.problems if "inline style" not in problem] == [] and len(page.problems) <= 1


async def test_a_book_on_the_page(exchange: Exchange, network: MemoryNetwork) -> None:
    exchange.publish_diff(200, bids=[("9.5", 20), ("9.4", 1)], asks=[("10.5", 20)])
    async with open_shown(network) as page:
        exchange.publish_trade(200, "10", 1)
        assert await page.get(LEVELS) == 3
        await page.wait_for("document.querySelectorAll('#depth .js-fill').length === 2")
        await page.wait_for("document.querySelector('#candles .boxlayer path')")
        await page.wait_for("document.getElementById('trades').innerText.includes('buy')")
        exchange.publish_diff(200, asks=[("10.4", 7)])
        await page.wait_for("document.querySelector('#ladder .ask.best').innerText.includes('10.4')")
        for width, height in ((1280, 800), (1000, 800), (390, 844)):
            await page.resize(width, height)
            await trio.sleep(0.3)
            assert await page.get(FITS), width
            assert await page.get("document.querySelector('#depth svg').clientWidth <= innerWidth")
        assert await has_no_problem(page)


async def test_a_loss_on_the_page(exchange: Exchange, network: MemoryNetwork) -> None:
    exchange.publish_diff(200, bids=[("9.5", 20)], asks=[("10.5", 20)])
    async with open_shown(network) as page:
        network.partition(3)
        await page.wait_for("document.title === 'LOST 200'")
        text = await page.get("document.querySelector('main section').innerText")
        assert "LOST" in text
        assert "9.5" not in text
        assert "10.5" not in text
        assert await page.get("document.querySelectorAll('#depth .js-fill').length") == 0
        assert (await page.get("document.getElementById('banner').innerText")).startswith("LOST")
        await page.wait_for("document.title === 'LIVE 200'")
        assert await page.get(LEVELS) == 2
        assert await page.get("document.getElementById('banner').offsetHeight") == 0
        assert await has_no_problem(page)


async def test_a_server_that_has_ended(exchange: Exchange, network: MemoryNetwork) -> None:
    exchange.publish_diff(200, bids=[("9.5", 20)], asks=[("10.5", 20)])
    async with open_browser() as page:
        async with open_page(network) as url:
            await page.open(url, 1280, 800)
            await page.wait_for("document.title === 'LIVE 200'")
        await page.wait_for("document.title === 'LOST 200'")
        assert await page.get(LEVELS) == 0
        assert "no answer from tplus-trio" in await page.get("document.getElementById('banner').innerText")
        async with open_page(network, int(url.rpartition(":")[2])):
            await page.wait_for("document.title === 'LIVE 200'")
            assert await page.get(LEVELS) == 2


async def test_a_server_that_does_not_answer(exchange: Exchange, network: MemoryNetwork) -> None:
    """What the page shows is not older than its patience."""
    exchange.publish_diff(200, bids=[("9.5", 20)], asks=[("10.5", 20)])
    async with open_shown(network) as page:
        await page.get("globalThis.fetch = () => new Promise(() => {}), 0")
        await page.wait_for("document.title === 'LOST 200'")
        assert await page.get(LEVELS) == 0


async def test_unusual_books(exchange: Exchange, network: MemoryNetwork) -> None:
    async with open_shown(network) as page:
        for bid, ask, spread in (
            (0, 0, "the book is empty"),
            (0, 20, "no bids"),
            (20, 0, "no asks"),
            (20, 20, "CROSSED by 0.5"),
        ):
            exchange.publish_diff(200, bids=[("11", bid)], asks=[("10.5", ask)])
            await page.wait_for(f"document.querySelector('#ladder .spread').innerText === {spread!r}")
            sides = bool(bid) + bool(ask)
            assert await page.get(LEVELS) == sides
            await page.wait_for(f"document.querySelectorAll('#depth .js-fill').length === {sides}")
            assert await page.get("Boolean(document.querySelector('.wrong'))") == ("CROSSED" in spread)
            assert await page.get(FITS)
        assert await has_no_problem(page)


async def test_a_text_of_a_service_is_text(exchange: Exchange, network: MemoryNetwork) -> None:
    exchange.publish_diff(200, bids=[("9.5", 20)])
    hostile = "<img src=x onerror=globalThis.broken=1>"
    async with open_shown(network) as page:
        state = f"{{...last, word: 'LOST', why: {hostile!r}, figures: [{hostile!r}], book: null}}"
        # In one step: the next answer is shown after it.
        shown = await page.get(f"show({state}), document.querySelector('header').textContent")
        assert shown.count(hostile) == 2
        await page.wait_for("document.title === 'LIVE 200'")
        assert await page.get("globalThis.broken === undefined")
        assert await page.get("document.querySelectorAll('img').length") == 0
