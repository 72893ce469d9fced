"""The identifier of an asset as one canonical text."""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import lru_cache
from typing import Final, cast, final

__all__ = ["AssetIdentifier"]

_LEGAL: Final = "an asset is a registry index (200 or '200') or '<address, up to 64 hex digits>@<chain, 18 hex digits>'"
_INDEX: Final = re.compile(r"[0-9]{1,78}")
_ADDRESS: Final = re.compile(r"(?:0[xX])?((?:[0-9a-fA-F]{2}){1,32})@(?:0[xX])?([0-9a-fA-F]{18})")
#: The longest legal text in characters: two ``0x``, an address, ``@``, a chain. Longer texts never reach the cache.
_LONGEST: Final = 2 + 64 + 1 + 2 + 18


@final
class AssetIdentifier(str):
    """An asset: a registry index, or an address on a chain.

    It is a ``str`` in canonical form: an index without leading zeros (``"200"``), or 64 lower-case hex digits of
    address, ``@``, and 18 hex digits of chain (one byte of routing id, eight bytes of VM id). It therefore equals and
    hashes as plain text, and needs no quoting in a URL. A shorter address is padded with zero bytes on the right.

    Args:
        root: The index as an ``int`` from 0 to 10**78 - 1 or as text; the ``address@chain`` text, with ``0x`` allowed
            before either part; or a form that older servers send: ``{"Index": 200}`` or ``{"Address": {"address":
            [bytes], "chain": [bytes]}}``.

    Raises:
        ValueError: The value has none of these forms. A symbol such as ``"ETH"`` is refused.
        TypeError: The value is of another type. A ``bool`` is refused.
    """

    __slots__ = ()

    def __new__(cls, root: AssetIdentifier | int | str | Mapping[str, object]) -> AssetIdentifier:
        """Parse the value. Texts parsed recently give the same object again."""
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
        # Decoded JSON also arrives here and may be of any type.
        if isinstance(cast("object", root), Mapping):
            return _parse_old_form(root)
        raise TypeError(f"{_LEGAL}, got {type(root).__name__}")

    def __repr__(self) -> str:
        return f"AssetIdentifier({str(self)!r})"

    @property
    def indexed(self) -> bool:
        """Whether the asset is a registry index, not an address."""
        return "@" not in self

    @property
    def address(self) -> str:
        """The address: 64 lower-case hex digits.

        Raises:
            ValueError: The asset is a registry index.
        """
        return self._split()[0]

    @property
    def chain_hex(self) -> str:
        """The chain: 18 lower-case hex digits.

        Raises:
            ValueError: The asset is a registry index.
        """
        return self._split()[1]

    @property
    def evm_address(self) -> str:
        """The first 20 bytes of the address: ``0x`` and 40 lower-case hex digits.

        Raises:
            ValueError: The asset is a registry index.
        """
        return f"0x{self.address[:40]}"

    def _split(self) -> tuple[str, str]:
        address, separator, chain = self.partition("@")
        if not separator:
            raise ValueError(f"asset {self} is a registry index: it has no address")
        return address, chain


@lru_cache(maxsize=4096)
def _parse(text: str) -> AssetIdentifier:
    """Parse a text. The cache helps because a feed repeats the same few assets."""
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
