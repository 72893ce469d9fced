"""The name of an asset, in its one canonical text."""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import lru_cache
from typing import Final, cast, final

__all__ = ["AssetIdentifier"]

_LEGAL: Final = "an asset is a registry index (200 or '200') or '<address, up to 64 hex digits>@<chain, 18 hex digits>'"
_INDEX: Final = re.compile(r"[0-9]{1,78}")
_ADDRESS: Final = re.compile(r"(?:0[xX])?((?:[0-9a-fA-F]{2}){1,32})@(?:0[xX])?([0-9a-fA-F]{18})")
#: The longest legal text: two prefixes, an address, the sign, a chain. Longer ones never reach the cache.
_LONGEST: Final = 2 + 64 + 1 + 2 + 18


@final
class AssetIdentifier(str):
    """An asset: a registry index, or an address on a chain.

    It is a ``str`` in canonical form, so it compares with plain strings, hashes, and goes into a URL as it
    is: an index without leading zeros (``"200"``), or 64 lower-case hex digits of address, ``@``, and 18 of
    chain (one byte of routing id, eight of VM id). A shorter address is padded with zero bytes on the right.

    Args:
        root: The index as an ``int`` or text, the ``address@chain`` text (``0x`` allowed on either part), or
            one of the forms that older servers send: ``{"Index": 200}`` and ``{"Address": {"address":
            [bytes], "chain": [bytes]}}``.

    Raises:
        ValueError: If the value is neither of the two forms; a symbol is not.
        TypeError: If it is of another type altogether; a ``bool`` is.
    """

    __slots__ = ()

    def __new__(cls, root: AssetIdentifier | int | str | Mapping[str, object]) -> AssetIdentifier:
        """Parse it; the same text gives the same object, mostly."""
        if isinstance(root, AssetIdentifier):
            return root
        if isinstance(root, str):
            if len(root) > _LONGEST:
                raise ValueError(f"{_LEGAL}, got {len(root)} characters")
            return _parse(str(root))
        if isinstance(root, bool):
            raise TypeError(f"{_LEGAL}, got a bool")
        if isinstance(root, int):
            if not 0 <= root < 10**78:
                raise ValueError(f"{_LEGAL}, got an index out of range")
            return _parse(str(root))
        # What arrives here from the wire was promised to nobody: it may be anything.
        if isinstance(cast("object", root), Mapping):
            return _parse_old_form(root)
        raise TypeError(f"{_LEGAL}, got {type(root).__name__}")

    def __repr__(self) -> str:
        return f"AssetIdentifier({str(self)!r})"

    @property
    def indexed(self) -> bool:
        """Whether this is a registry index, not an address."""
        return "@" not in self

    @property
    def address(self) -> str:
        """The address: 64 lower-case hex digits.

        Raises:
            ValueError: If the asset is a registry index.
        """
        return self._split()[0]

    @property
    def chain_hex(self) -> str:
        """The chain: 18 lower-case hex digits.

        Raises:
            ValueError: If the asset is a registry index.
        """
        return self._split()[1]

    @property
    def evm_address(self) -> str:
        """The first 20 bytes of the address as ``0x`` and 40 lower-case hex digits.

        Raises:
            ValueError: If the asset is a registry index.
        """
        return f"0x{self.address[:40]}"

    def _split(self) -> tuple[str, str]:
        address, separator, chain = self.partition("@")
        if not separator:
            raise ValueError(f"asset {self} is a registry index: it has no address")
        return address, chain


@lru_cache(maxsize=4096)
def _parse(text: str) -> AssetIdentifier:
    """The identifier that a text stands for; a feed names the same few assets over and over."""
    if _INDEX.fullmatch(text):
        return str.__new__(AssetIdentifier, text.lstrip("0") or "0")
    if match := _ADDRESS.fullmatch(text):
        address, chain = match[1].lower(), match[2].lower()
        return str.__new__(AssetIdentifier, f"{address:0<64}@{chain}")
    raise ValueError(f"{_LEGAL}, got {text!r}")


def _parse_old_form(value: Mapping[str, object]) -> AssetIdentifier:
    index, address = value.get("Index"), value.get("Address")
    if isinstance(index, int | str) and _INDEX.fullmatch(str(index)):
        return AssetIdentifier(index)
    if isinstance(address, str):
        return AssetIdentifier(address)
    if isinstance(address, Mapping):
        parts = cast("Mapping[str, object]", address)
        return AssetIdentifier(f"{_hex(parts.get('address'))}@{_hex(parts.get('chain'))}")
    raise ValueError(f"{_LEGAL}, or an object with 'Index' or 'Address'")


def _hex(given: object) -> str:
    if isinstance(given, list):
        try:
            return bytes(cast("list[int]", given)).hex()
        except (TypeError, ValueError):
            pass
    raise ValueError(f"{_LEGAL}; in an object, 'address' and 'chain' are lists of bytes")
