"""Receivers of the ceiling: picows parses the frames, msgspec makes Structs with floats of them, and nothing else."""

from __future__ import annotations

import asyncio
from typing import Final

import msgspec
import picows

from .job import Job, Meter, tell


class _Diff(msgspec.Struct):
    asks: list[tuple[float, float]]
    bids: list[tuple[float, float]]
    sequence_number: int


class _Trade(msgspec.Struct):
    asset_id: str
    trade_id: int
    price: float
    quantity: float
    timestamp_ns: int
    buyer_is_maker: bool
    status: str = "Confirmed"


class _UserTrade(msgspec.Struct):
    asset_id: str
    trade_id: int
    order_id: str
    price: float
    quantity: float
    timestamp_ns: int
    is_maker: bool
    is_buyer: bool
    status: str
    rollback_reason: str | None = None
    is_liquidation: bool = False
    is_auto_deleverage: bool = False
    sub_account: int = 0
    trading_fee: float = 0


class _Timebar(msgspec.Struct):
    open: float
    high: float
    low: float
    close: float
    volume: float
    open_timestamp_ns: int
    close_timestamp_ns: int


class _Limit(msgspec.Struct):
    limit_price: int
    quantity: int
    time_in_force: dict[str, dict[str, bool]]


class _Details(msgspec.Struct):
    Limit: _Limit


class _Target(msgspec.Struct):
    account: int
    is_spot: bool


class _Order(msgspec.Struct):
    signer: str
    order_id: str
    base_asset: str
    book_price_decimals: int
    book_quantity_decimals: int
    details: _Details
    side: str
    trigger: None
    creation_timestamp_ns: int
    target: _Target
    reduce_only: bool
    max_trading_fees_rate: int
    protocol_version: int


class _Created(msgspec.Struct):
    user_order: _Order
    signature: list[int]
    book_timestamp_ns: int


class _Ended(msgspec.Struct):
    order_id: str
    asset_id: str
    user_id: str
    timestamp_ns: int
    reason: str
    initial_receive_timestamp_ns: int | None = None
    filled_quantity: int = 0
    confirmed_quantity: int = 0
    filled_amount: int = 0
    confirmed_amount: int = 0
    book_quantity_decimals: int = 0


class _OrderEvent(msgspec.Struct):
    Created: _Created | None = None
    Canceled: _Ended | None = None
    Removed: _Ended | None = None


_SHAPES: Final[dict[str, object]] = {
    "depth 1+1": _Diff,
    "depth 5+5": _Diff,
    "trades": _Trade,
    "user trades": _UserTrade,
    "klines": list[_Timebar],
    "orders": _OrderEvent,
}


class _Listener(picows.WSListener):  # type: ignore[misc]  # mypy is told not to look into picows
    def __init__(self, job: Job) -> None:
        self._decode = msgspec.json.Decoder(_SHAPES[job.feed], strict=False).decode
        self._job = job
        self._left = job.messages
        self._meter: Meter | None = None
        self.done = asyncio.Event()

    def on_ws_frame(self, transport: picows.WSTransport, frame: picows.WSFrame) -> None:
        if frame.msg_type is not picows.WSMsgType.TEXT:
            return
        self._decode(frame.get_payload_as_memoryview())
        if self._meter is None:
            self._meter = Meter(self._job)
            self._meter.start()
            return
        self._left -= 1
        if not self._left:
            tell(**self._meter.figures(self._job.messages))
            self.done.set()


async def _feed(job: Job) -> None:
    url = f"ws://127.0.0.1:{job.port}/feed"
    transport, listener = await picows.ws_connect(lambda: _Listener(job), url)
    await listener.done.wait()
    transport.disconnect()


if __name__ == "__main__":
    asyncio.run(_feed(Job.from_command_line()))
