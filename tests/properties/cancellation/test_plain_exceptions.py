"""An exception of a context's body leaves it unchanged: the same object, in no group, with nothing added."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager

import pytest
import trio
from trio.testing import MockClock, wait_all_tasks_blocked

from tplus_trio import ConnectionFailed, DecodeError, MarketDataClient, OrderBookClient, User
from tplus_trio.scopes import open_plain_nursery
from tplus_trio.testing import Exchange, MemoryNetwork, serve

Open = Callable[[MemoryNetwork], AbstractAsyncContextManager[object]]


class Unusual(BaseException):
    """A BaseException that is no Exception."""


def md_of(network: MemoryNetwork) -> MarketDataClient:
    return MarketDataClient("http://exchange", connector=network)


@asynccontextmanager
async def a_client(network: MemoryNetwork) -> AsyncIterator[object]:
    async with md_of(network) as md:
        yield md


@asynccontextmanager
async def a_stream(network: MemoryNetwork) -> AsyncIterator[object]:
    async with md_of(network) as md, md.stream_depth(200) as stream:
        await stream.receive()
        yield stream


@asynccontextmanager
async def a_stream_that_connects(network: MemoryNetwork) -> AsyncIterator[object]:
    network.partition(1000)
    async with md_of(network) as md, md.stream_depth(200) as stream:
        yield stream


@asynccontextmanager
async def a_stream_that_failed(network: MemoryNetwork) -> AsyncIterator[object]:
    network.exchange.faults.reject_handshakes(1, 404)
    async with md_of(network) as md, md.stream_depth(200) as stream:
        await trio.sleep(1)
        yield stream


@asynccontextmanager
async def a_book(network: MemoryNetwork) -> AsyncIterator[object]:
    async with md_of(network) as md, md.open_book(200) as book:
        await book.wait_synced()
        yield book


@asynccontextmanager
async def many(network: MemoryNetwork) -> AsyncIterator[object]:
    oms = OrderBookClient("http://exchange", connector=network, default_user=User())
    async with md_of(network) as md, oms, md.stream_depth(200), oms.stream_orders() as orders, md.open_book(200):
        await orders.wait_live()
        yield orders


@asynccontextmanager
async def a_bare_loop(network: MemoryNetwork) -> AsyncIterator[object]:
    async with md_of(network) as md:
        async for item in md.stream_depth(200):
            yield item
            break


CONTEXTS = [a_client, a_stream, a_stream_that_connects, a_stream_that_failed, a_book, many]
MAKERS: list[Callable[[], BaseException]] = [
    lambda: ValueError("mine"),
    KeyboardInterrupt,
    lambda: SystemExit(3),
    Unusual,
    StopAsyncIteration,
    lambda: StopIteration(5),
    lambda: RuntimeError("generator didn't stop"),
    lambda: ExceptionGroup("mine", [ValueError(), ExceptionGroup("inner", [KeyError()])]),
    lambda: BaseExceptionGroup("mine", [KeyboardInterrupt(), ValueError()]),
    trio.TooSlowError,
    trio.ClosedResourceError,
    trio.EndOfChannel,
    lambda: ConnectionFailed("mine"),
    lambda: DecodeError("mine"),
]


async def leaves_plain(context: AbstractAsyncContextManager[object], exc: BaseException, *, cancelled: bool) -> None:
    group = getattr(exc, "exceptions", None)
    with trio.CancelScope() as scope, pytest.raises(type(exc)) as caught:  # noqa: PT012 - StopIteration passes no await
        async with context:
            if cancelled:
                scope.cancel()
            raise exc
    assert caught.value is exc
    assert exc.__cause__ is None
    assert exc.__context__ is None
    assert not exc.__suppress_context__
    assert getattr(exc, "exceptions", None) is group


@pytest.mark.parametrize("cancelled", [False, True], ids=["", "cancelled"])
@pytest.mark.parametrize("opened", CONTEXTS, ids=lambda context: context.__name__)
async def test_exceptions_come_out_plain(opened: Open, cancelled: bool, autojump_clock: MockClock) -> None:
    for make in MAKERS:
        async with MemoryNetwork() as network:
            network.exchange.add_market(200)
            await leaves_plain(opened(network), make(), cancelled=cancelled)
            assert network.open_connections == 0


async def raise_in(context: AbstractAsyncContextManager[object], exc: Exception) -> None:
    async with context:
        raise exc


async def test_a_cause_and_a_context_are_kept(autojump_clock: MockClock) -> None:
    async with MemoryNetwork() as network:
        network.exchange.add_market(200)
        exc = ValueError("mine")
        exc.__cause__, exc.__context__ = cause, context = KeyError(), OSError()
        with pytest.raises(ValueError, match="mine"):
            await raise_in(a_stream(network), exc)
        assert exc.__cause__ is cause
        assert exc.__context__ is context


async def drain_entered(network: MemoryNetwork) -> None:
    async with md_of(network) as md, md.stream_tickers(restart=None) as stream:
        async for _ in stream:
            pass


async def drain_bare(network: MemoryNetwork) -> None:
    async with md_of(network) as md:
        async for _ in md.stream_tickers(restart=None):
            pass


async def test_a_streams_failure_comes_out_plain(autojump_clock: MockClock) -> None:
    async with MemoryNetwork() as network:
        network.refuse(100)
        for drain in (drain_entered, drain_bare):
            with pytest.raises(ConnectionFailed) as caught:
                await drain(network)
            assert isinstance(caught.value.__cause__, ConnectionRefusedError)


async def test_a_failure_that_is_raised_again_does_not_grow(autojump_clock: MockClock) -> None:
    async with MemoryNetwork() as network:
        network.refuse(100)
        async with (
            md_of(network) as md,
            md.stream_tickers(restart=None) as stream,
            md.open_book(200, restart=None) as book,
        ):
            changes = book.changes()
            for ask in (stream.receive, stream.wait_live, book.wait_synced, changes.__anext__):
                lengths: list[int] = []
                for _ in range(5):
                    with pytest.raises(ConnectionFailed) as caught:
                        await ask()
                    lengths.append(len(caught.traceback))
                assert len(set(lengths)) == 1, ask


@pytest.mark.parametrize("opened", [*CONTEXTS, a_bare_loop], ids=lambda context: context.__name__)
async def test_a_cancellation_is_just_that(opened: Open, autojump_clock: MockClock) -> None:
    async with MemoryNetwork() as network:
        network.exchange.add_market(200)
        with trio.move_on_after(3) as scope:
            async with opened(network):
                await trio.sleep_forever()
        assert scope.cancelled_caught
        assert trio.current_time() == pytest.approx(3)
        await wait_all_tasks_blocked()
        assert network.open_connections == 0


async def test_over_tcp_too() -> None:
    exchange = Exchange()
    exchange.add_market(200)
    for cancelled in (False, True):
        async with serve(exchange) as url, MarketDataClient(url) as md:
            context = md.stream_depth(200)
            await leaves_plain(context, ValueError(), cancelled=cancelled)


# The nursery below all of it.


@pytest.mark.parametrize("nested", [False, True])
async def test_a_task_that_fails_ends_the_body(nested: bool) -> None:
    async def fail() -> None:
        await trio.lowlevel.checkpoint()
        raise KeyError

    with pytest.RaisesGroup(KeyError, flatten_subgroups=True):
        async with open_plain_nursery() as nursery:
            nursery.start_soon(fail)
            if nested:
                async with trio.open_nursery():
                    await trio.sleep_forever()
            await trio.sleep_forever()


@pytest.mark.parametrize("interrupt", [KeyboardInterrupt, SystemExit])
@pytest.mark.parametrize("body", ["waits", "fails", "is over"])
async def test_an_interrupt_in_a_task_is_never_hidden(interrupt: type[BaseException], body: str) -> None:
    async def fail() -> None:
        await trio.lowlevel.cancel_shielded_checkpoint()
        raise interrupt

    async def scope() -> None:
        async with open_plain_nursery() as nursery:
            nursery.start_soon(fail)
            if body == "waits":
                await trio.sleep_forever()
            if body == "fails":
                with trio.CancelScope(shield=True):
                    await wait_all_tasks_blocked()
                raise ValueError

    if interrupt is KeyboardInterrupt:
        with pytest.raises(KeyboardInterrupt):
            await scope()
        return
    others = [ValueError] if body == "fails" else []
    with pytest.RaisesGroup(interrupt, *others, flatten_subgroups=True):
        await scope()


async def test_the_bodys_own_failure_goes_before_a_tasks() -> None:
    async def fail() -> None:
        await trio.lowlevel.checkpoint()
        raise KeyError

    async def scope() -> None:
        async with open_plain_nursery() as nursery:
            nursery.start_soon(fail)
            raise ValueError("mine")

    with pytest.raises(ValueError, match="mine"):
        await scope()
