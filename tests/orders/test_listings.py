"""Listings that several tasks want at once: each gets one that was begun after it asked, and nobody harms another."""

from __future__ import annotations

from collections.abc import Sequence

import pytest
import trio
from trio.testing import MockClock, wait_all_tasks_blocked

from tests.helpers.exchange_users import ALICE, BOB
from tests.helpers.order_messages import ASSET, order, row
from tplus_trio import AssetIdentifier, ConnectionFailed, User
from tplus_trio.models import BadRow, OrderResponse, Rows
from tplus_trio.orders.listings import Listing, ListingReader


def rows(*names: str, quantity: int = 10) -> Rows[OrderResponse]:
    return Rows([row(order(), quantity=quantity, order_id=name) for name in names])


class Pages:
    """Serves the pages of a listing, and records which were read."""

    def __init__(self, *pages: tuple[Rows[OrderResponse], bool], seconds: float = 0.0) -> None:
        self.pages = pages or ((rows("a"), False),)
        self.seconds = seconds
        self.failures: list[Exception] = []
        #: When each request was made, and which page it named.
        self.requests: list[tuple[float, int]] = []
        self.seen: list[str] = []
        self.reader = ListingReader(self.read_page, self.on_rows, most_pages=4)

    async def read_page(self, _: User, __: AssetIdentifier, page: int) -> tuple[Rows[OrderResponse], bool]:
        self.requests.append((trio.current_time(), page))
        await trio.sleep(self.seconds)
        if self.failures:
            raise self.failures.pop()
        return self.pages[min(page, len(self.pages) - 1)]

    def on_rows(self, owner: str, listed: Sequence[OrderResponse]) -> None:
        assert owner == ALICE.public_key
        self.seen += [one.order_id for one in listed]

    async def read(self, *, complete: bool = True, owner: User = ALICE) -> Listing:
        return await self.reader.read(owner, ASSET, complete=complete)


# What a listing has.


async def test_all_pages_make_a_complete_listing(autojump_clock: MockClock) -> None:
    pages = Pages((rows("a", "b"), True), (rows("c"), True), (rows("d"), False))
    listing = await pages.read()
    assert (set(listing.orders), listing.is_complete) == ({"a", "b", "c", "d"}, True)
    assert pages.seen == ["a", "b", "c", "d"]


async def test_the_first_page_alone_is_complete_only_if_no_other_follows(autojump_clock: MockClock) -> None:
    pages = Pages((rows("a"), True), (rows("b"), False))
    listing = await pages.read(complete=False)
    assert (set(listing.orders), listing.is_complete) == ({"a"}, False)
    assert (await Pages((rows("a"), False)).read(complete=False)).is_complete


async def test_a_row_that_cannot_be_read_may_be_the_missing_order(autojump_clock: MockClock) -> None:
    bad = Rows[OrderResponse]([], (BadRow(0, "no order_id", b"{}"),))
    listing = await Pages((bad, True), (rows("b"), False)).read()
    assert (set(listing.orders), listing.is_complete) == ({"b"}, False)


async def test_a_listing_of_too_many_pages_is_not_complete(autojump_clock: MockClock) -> None:
    pages = Pages((rows("a"), True))
    assert not (await pages.read()).is_complete
    assert [page for _, page in pages.requests] == [0, 1, 2, 3]


async def test_of_a_row_on_two_pages_the_first_is_newer(autojump_clock: MockClock) -> None:
    pages = Pages((rows("a", quantity=3), True), (rows("a", "b", quantity=9), False))
    listing = await pages.read()
    assert {name: one.quantity for name, one in listing.orders.items()} == {"a": 3, "b": 9}


# Who reads, and when.


async def test_who_asks_during_a_read_gets_one_that_was_begun_later(autojump_clock: MockClock) -> None:
    pages, ends = Pages(seconds=1.0), list[float]()

    async def read() -> None:
        await pages.read()
        ends.append(trio.current_time())

    start = trio.current_time()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(read)
        await trio.sleep(0.5)
        for _ in range(5):
            nursery.start_soon(read)
    assert [time - start for time, _ in pages.requests] == [0.0, 1.0]
    assert [time - start for time in ends] == [1.0, *[2.0] * 5]


async def test_who_asks_later_gets_a_new_listing(autojump_clock: MockClock) -> None:
    pages = Pages()
    before = await pages.read()
    pages.pages = ((rows("b"), False),)
    assert set(before.orders) == {"a"}
    assert set((await pages.read()).orders) == {"b"}


async def test_the_first_page_and_all_pages_are_different_listings(autojump_clock: MockClock) -> None:
    pages = Pages((rows("a"), True), (rows("b"), False), seconds=1.0)
    async with trio.open_nursery() as nursery:
        for _ in range(2):
            nursery.start_soon(lambda: pages.read(complete=False))
            await wait_all_tasks_blocked()
        assert set((await pages.read()).orders) == {"a", "b"}


async def test_users_do_not_share_a_listing(autojump_clock: MockClock) -> None:
    pages = Pages(seconds=1.0)
    users: list[str] = []
    pages.reader = ListingReader(pages.read_page, lambda owner, _: users.append(owner))
    async with trio.open_nursery() as nursery:
        nursery.start_soon(pages.read)
        nursery.start_soon(lambda: pages.read(owner=BOB))
    assert sorted(users) == sorted([ALICE.public_key, BOB.public_key])


async def test_who_waits_hears_of_each_page(autojump_clock: MockClock) -> None:
    pages, heard = Pages((rows("a"), True), (rows("b"), True), (rows("c"), False), seconds=1.0), list[float]()
    start = trio.current_time()

    async def wait() -> None:
        await pages.reader.read(ALICE, ASSET, complete=True, on_page=lambda: heard.append(trio.current_time() - start))

    async with trio.open_nursery() as nursery:
        nursery.start_soon(pages.read)
        await trio.sleep(0.5)
        nursery.start_soon(wait)
    assert heard == [1.0, 2.0, 3.0, 4.0, 5.0, 6.0]
    await pages.read()
    assert len(heard) == 6, "nobody waits any more"


async def test_a_cancelled_reader_harms_nobody(autojump_clock: MockClock) -> None:
    pages, listings = Pages(seconds=1.0), list[Listing]()

    async def read(scope: trio.CancelScope) -> None:
        with scope:
            listings.append(await pages.read())

    start, first, second = trio.current_time(), trio.CancelScope(), trio.CancelScope()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(read, first)
        await wait_all_tasks_blocked()
        for scope in (second, trio.CancelScope(), trio.CancelScope()):
            nursery.start_soon(read, scope)
            await wait_all_tasks_blocked()
        await trio.sleep(0.25)
        second.cancel()  # while it waits
        await trio.sleep(0.25)
        first.cancel()  # while it reads
    assert (first.cancelled_caught, second.cancelled_caught) == (True, True)
    assert [set(one.orders) for one in listings] == [{"a"}, {"a"}]
    assert [time - start for time, _ in pages.requests] == [0.0, 0.5]


async def test_a_cancelled_read_is_not_anybodys_listing(autojump_clock: MockClock) -> None:
    pages = Pages((rows("a"), True), (rows("b"), False), seconds=1.0)
    with trio.move_on_after(1.5) as scope:
        await pages.read()
    assert scope.cancelled_caught
    listing = await pages.read()
    assert (set(listing.orders), listing.is_complete) == ({"a", "b"}, True)
    assert [page for _, page in pages.requests] == [0, 1, 0, 1]


async def test_a_failed_read_is_its_readers_alone(autojump_clock: MockClock) -> None:
    pages, listings = Pages(seconds=1.0), list[Listing]()
    pages.failures = [ConnectionFailed("lost")]

    async def read() -> None:
        listings.append(await pages.read())

    async with trio.open_nursery() as nursery:

        async def fail() -> None:
            with pytest.raises(ConnectionFailed, match="lost"):
                await pages.read()

        nursery.start_soon(fail)
        await wait_all_tasks_blocked()
        nursery.start_soon(read)
        nursery.start_soon(read)
    assert [set(one.orders) for one in listings] == [{"a"}, {"a"}]
    assert len(pages.requests) == 2


async def test_of_two_rows_of_one_id_the_newer_one_counts(autojump_clock: MockClock) -> None:
    newer, older = rows("a", quantity=7), rows("a", quantity=3)
    pages = Pages((Rows([*newer, *older]), False))
    listing = await pages.read()
    assert listing.orders["a"].quantity == 7
