"""TLS over any stream, with a client's own settings or the caller's, which are never changed."""

from __future__ import annotations

import ssl
import warnings
from typing import Final, cast

import trio

from tplus_trio.errors import CertificateRefused, ConnectionFailed

__all__ = ["start_tls", "tls_context"]

#: What is spoken over each connection. A server must not pick HTTP/2, which a WebSocket handshake is not written in.
_ALPN: Final = "http/1.1"
#: What a connection takes from its context when it is made. All else is read from the context during the handshake.
_MIRRORED: Final = (
    "options",
    "minimum_version",
    "maximum_version",
    "verify_flags",
    "post_handshake_auth",
    "hostname_checks_common_name",
    "sslobject_class",
)


def tls_context(verify: bool | ssl.SSLContext) -> ssl.SSLContext:
    """The TLS settings that a client's ``verify=`` stands for.

    Args:
        verify: True verifies against the system's certificate authorities, False verifies nothing (and warns), a
            context is used as it is.
    """
    if isinstance(verify, ssl.SSLContext):
        return verify
    context = ssl.create_default_context()
    if not verify:
        warnings.warn("TLS certificates are not verified (verify=False)", RuntimeWarning, stacklevel=4)
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    return context


class _Http1Context:
    """A context as trio needs one: it makes connections with a caller's settings that offer HTTP/1.1 by ALPN.

    Python keeps ALPN in the context, which has no copy, and cannot tell what is set. So a connection is made from a
    context that has what a connection takes at its making, and the offer; then it is given the caller's, of which it
    uses the certificates, authorities, ciphers and key log. Settings that Python can neither read nor give to a made
    connection are lost: `set_ecdh_curve`, and pre-shared keys.
    """

    def __init__(self, context: ssl.SSLContext) -> None:
        self._context = context

    def wrap_bio(
        self,
        incoming: ssl.MemoryBIO,
        outgoing: ssl.MemoryBIO,
        server_side: bool = False,
        server_hostname: str | bytes | None = None,
        session: ssl.SSLSession | None = None,
    ) -> ssl.SSLObject:
        """Make a connection, as `ssl.SSLContext.wrap_bio` does."""
        theirs = self._context
        ours = ssl.SSLContext(theirs.protocol)
        ours.check_hostname = False  # else verify_mode cannot be CERT_NONE
        ours.verify_mode = theirs.verify_mode
        ours.check_hostname = theirs.check_hostname
        for name in _MIRRORED:
            if getattr(ours, name) != (value := getattr(theirs, name)):
                setattr(ours, name, value)
        ours.set_alpn_protocols([_ALPN])
        made = ours.wrap_bio(incoming, outgoing, server_side, server_hostname)
        made.context = theirs
        if session is not None:
            made.session = session  # after the context, since it has to be the session's
        return made


def _offering_http_1(context: ssl.SSLContext) -> ssl.SSLContext:
    """The context to hand to trio. One that makes connections in its own way is used as it is."""
    if type(context).wrap_bio is not ssl.SSLContext.wrap_bio:
        return context
    return cast("ssl.SSLContext", _Http1Context(context))  # trio calls `wrap_bio`, and nothing else


async def start_tls(stream: trio.abc.Stream, tls: ssl.SSLContext, host: str) -> trio.abc.Stream:
    """Speak TLS over an open stream, which is closed if the handshake fails or is cancelled.

    Args:
        stream: The connection. It is taken over.
        tls: The settings. They are not changed; whatever their ALPN, HTTP/1.1 alone is offered. A context of a class
            with a ``wrap_bio`` of its own makes the connection itself, and has to see to that.
        host: The name or address that the certificate is held against.

    Raises:
        ConnectionFailed: the handshake failed, or the server chose another protocol than HTTP/1.1.
        CertificateRefused: it failed because the certificate did not verify.
    """
    try:
        secured = trio.SSLStream(stream, _offering_http_1(tls), server_hostname=host, https_compatible=True)
        await secured.do_handshake()
        chosen = secured.selected_alpn_protocol()
    except trio.BrokenResourceError as exc:
        await trio.aclose_forcefully(stream)
        raise _handshake_failure(host, exc) from exc
    except BaseException:
        await trio.aclose_forcefully(stream)
        raise
    if chosen not in {None, _ALPN}:
        await trio.aclose_forcefully(stream)
        msg = (
            f"{host} chose the protocol {chosen!r} by ALPN, which the context given as verify= offers; "
            f"call its set_alpn_protocols([{_ALPN!r}])"
        )
        raise ConnectionFailed(msg)
    return secured


def _handshake_failure(host: str, failure: trio.BrokenResourceError) -> ConnectionFailed:
    """Say why TLS could not be spoken."""
    cause = failure.__cause__
    if isinstance(cause, ssl.SSLCertVerificationError):
        return CertificateRefused(f"the certificate of {host} was refused: {cause.verify_message}")
    return ConnectionFailed(f"TLS handshake with {host} failed: {cause or failure}")
