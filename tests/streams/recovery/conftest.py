"""A fixture that makes pages small, so that few items are several pages."""

from __future__ import annotations

import pytest

from tplus_trio.clients import market_data


@pytest.fixture
def small_pages(monkeypatch: pytest.MonkeyPatch) -> None:
    """Pages of eight rows: twenty items are three pages."""
    monkeypatch.setattr(market_data, "_PAGE", 8)
