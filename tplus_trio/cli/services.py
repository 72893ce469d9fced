"""The services that a command talks to, and the user that it signs in as: from the settings."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, NamedTuple

import click
from click.core import ParameterSource

from tplus_trio.cli.failure import Failure, explaining
from tplus_trio.cli.settings import setting, source_of, value_of

if TYPE_CHECKING:
    from tplus_trio.clients.market_data import MarketDataClient
    from tplus_trio.clients.order_book import OrderBookClient
    from tplus_trio.users import User

__all__ = [
    "DEFAULT_OMS_URL",
    "DEFAULT_URL",
    "Services",
    "load_signer",
    "market_data_options",
    "order_options",
    "services",
]

#: The clients' defaults.
DEFAULT_URL: Final = "http://localhost:8011"
DEFAULT_OMS_URL: Final = "http://localhost:3032"


class Services(NamedTuple):
    """Where the services are, and how clients reach them."""

    url: str = DEFAULT_URL
    oms_url: str = DEFAULT_OMS_URL
    #: Other arguments of the clients.
    options: dict[str, Any] = {}  # noqa: RUF012 - never changed

    def market_data(self, user: User | None = None, **options: Any) -> MarketDataClient:
        """Make a client of the market data service."""
        from tplus_trio.clients.market_data import MarketDataClient  # noqa: PLC0415 - the help does not need it

        return MarketDataClient(self.url, default_user=user, **self.options, **options)

    def orders(self, user: User | None, **options: Any) -> OrderBookClient:
        """Make a client of the order service."""
        from tplus_trio.clients.order_book import OrderBookClient  # noqa: PLC0415 - the help does not need it

        return OrderBookClient(self.oms_url, default_user=user, **self.options, **options)


def market_data_options(command: click.decorators.FC) -> click.decorators.FC:
    """Add ``--url`` and ``--timeout``: the command calls `services`."""
    return setting("url")(setting("timeout")(command))


def order_options(command: click.decorators.FC) -> click.decorators.FC:
    """Add ``--url``, ``--oms-url``, ``--timeout`` and ``--user``: the command calls `services` and `load_signer`."""
    return setting("url")(setting("oms_url")(setting("user")(setting("timeout")(command))))


def services() -> Services:
    """Return the services of the current command, which has `market_data_options` or `order_options`.

    The order service has the URL that is given for it, or else that of the exchange: an option counts before a
    variable, and a variable before the file.
    """
    timeout = value_of("timeout")
    options = {} if timeout is None else {"timeout": timeout}
    return Services(value_of("url") or DEFAULT_URL, _order_service() or DEFAULT_OMS_URL, options)


def _order_service() -> str | None:
    has_own = "oms_url" in {param.name for param in click.get_current_context().command.params}
    keys = ("oms_url", "url") if has_own else ("url",)
    for source in (ParameterSource.COMMANDLINE, ParameterSource.ENVIRONMENT, ParameterSource.DEFAULT_MAP):
        for key in keys:
            if source_of(key) is source:
                url: str | None = value_of(key)
                return url
    return None


def load_signer() -> User:
    """Load and unlock the stored user of the current command; a password prompt comes before anything else starts.

    Raises:
        click.UsageError: no user is named.
        Failure: there is no such user, or its key cannot be decrypted.
    """
    from tplus_trio.users import load_user, user_manager  # noqa: PLC0415 - the help does not need them

    name: str | None = value_of("user")
    if name is None:
        raise click.UsageError("Name the stored user with --user NAME; `tplus-trio accounts list` shows all.")
    with explaining("--user", ValueError, OSError, EOFError):
        stored = user_manager.usernames
        if name not in stored:
            listed = ", ".join(stored) or "none"
            raise Failure(
                f"--user: no user {name!r} in {user_manager.folder}; stored: {listed}; "
                "`tplus-trio accounts generate NAME` creates one"
            )
        user = load_user(name)
        user.unlock()
    return user
