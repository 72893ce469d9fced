"""Enumerations that the service may extend: an unknown member is kept as text."""

from __future__ import annotations

from enum import EnumType, StrEnum
from typing import Any, Self, cast

__all__ = ["OpenEnum"]


class _KnownOnly(EnumType):
    """Calling the class finds only known members, so that a misspelled argument is refused."""

    def __call__(cls, value: Any, *args: Any, **kwargs: Any) -> Any:
        if isinstance(value, cls):  # a member is returned as it is: EnumType takes ten times as long to find that out
            return cast("object", value)
        if type(value) is str and not args and (known := cls._value2member_map_.get(value)) is not None:
            return known
        member = cast("object", super().__call__(value, *args, **kwargs))
        if isinstance(member, OpenEnum) and not member.is_known:
            raise ValueError(f"{value!r} is not a valid {cls.__name__}")
        return member


class OpenEnum(StrEnum, metaclass=_KnownOnly):
    """A ``str`` enumeration that keeps members that this version does not know.

    Decoding makes a member of an unknown text. The text is its name and value; the member compares and hashes as that
    text, and can be copied and pickled. It is not registered: iterating over the class gives only the known members,
    and two unknown members of the same text are equal but may be different objects.

    Raises:
        ValueError: The class is called with a text that is not a known member's.
    """

    @classmethod
    def _known(cls, text: str) -> Self | None:
        """Return the known member that a text names, or None. Subclasses may accept other spellings."""
        return cls._value2member_map_.get(text)  # type: ignore[return-value]  # a map of this class's members

    @classmethod
    def _missing_(cls, value: object) -> Self | None:
        # msgspec also calls this, for a text that is not a known member's.
        if not isinstance(value, str):
            return None
        if (known := cls._known(value)) is not None:
            return known
        member = str.__new__(cls, value)
        member._name_ = member._value_ = str(value)
        return member

    @classmethod
    def read(cls, text: str) -> Self:
        """Return the member of a text that the service sent, known or unknown.

        Raises:
            TypeError: The value is not a ``str``.
        """
        member = cls._value2member_map_.get(text) if isinstance(text, str) else None
        if member is None and (member := cls._missing_(text)) is None:
            raise TypeError(f"{cls.__name__} must be a str, got {type(text).__name__}")
        return member  # type: ignore[return-value]  # a member of this class

    __hash__ = str.__hash__

    @property
    def is_known(self) -> bool:
        """Whether this version knows the member."""
        return self._value_ in type(self)._value2member_map_

    def __copy__(self) -> Self:
        return self

    def __deepcopy__(self, _: object) -> Self:
        return self

    def __reduce_ex__(self, _: object) -> tuple[Any, ...]:
        return type(self).read, (str(self),)
