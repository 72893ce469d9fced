"""Enumerations of the service, which may grow: a member that this version does not know is kept as text."""

from __future__ import annotations

from enum import EnumType, StrEnum
from typing import Any, Self, cast

__all__ = ["OpenEnum"]


class _KnownOnly(EnumType):
    """Calling the class finds known members only, as for any enumeration: a misspelled argument is refused."""

    def __call__(cls, value: Any, *args: Any, **kwargs: Any) -> Any:
        member = cast("object", super().__call__(value, *args, **kwargs))
        if isinstance(member, OpenEnum) and not member.is_known and not isinstance(value, cls):
            raise ValueError(f"{value!r} is not a valid {cls.__name__}")
        return member


class OpenEnum(StrEnum, metaclass=_KnownOnly):
    """A ``str`` enumeration whose unknown members are made as they arrive.

    An unknown member has its text as name and value, compares and hashes as that text, and survives copying and
    pickling. It is not registered: iterating over the class gives the known members only, and two unknown members
    of one text are equal but need not be the same object. Decoding makes them; calling the class raises ValueError.
    """

    @classmethod
    def _known(cls, text: str) -> Self | None:
        """Other spellings of known members; subclasses may add some."""
        return cls._value2member_map_.get(text)  # type: ignore[return-value]  # a map of this class's members

    @classmethod
    def _missing_(cls, value: object) -> Self | None:
        # msgspec calls this as well, for a text that is no member's.
        if not isinstance(value, str):
            return None
        if (known := cls._known(value)) is not None:
            return known
        member = str.__new__(cls, value)
        member._name_ = member._value_ = str(value)
        return member

    @classmethod
    def read(cls, text: str) -> Self:
        """The member of a text that the service sent, known or not.

        Raises:
            TypeError: It is no text.
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
