"""TLS over any stream, with default settings or with the caller's context, which stays unchanged."""

from __future__ import annotations

import ssl
import warnings
from typing import Final, cast

import trio

from tplus_trio.errors import CertificateRefused, ConnectionFailed

__all__ = ["start_tls", "tls_context"]

#: The ALPN offer of each connection. The WebSocket handshake here is HTTP/1.1, so a server must not choose HTTP/2.
_ALPN: Final = "http/1.1"
#: Settings that a connection copies from its context when it is made. It reads all others during the handshake.
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
    """Return the TLS settings for a client's ``verify=``.

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
    """Makes connections that offer HTTP/1.1 by ALPN, with a caller's settings. trio uses it as a context.

    Python keeps ALPN in the context, which cannot be copied, and whose ALPN setting cannot be read. So a connection is
    made from a new context with the offer and with the settings that a connection copies when it is made. Then the
    caller's context is assigned to the connection, which uses its certificates, authorities, ciphers and key log.
    Settings that Python can neither read nor assign later are lost: `set_ecdh_curve`, and pre-shared keys.
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
            made.session = session  # after the context: the session has to belong to it
        return made


def _offering_http_1(context: ssl.SSLContext) -> ssl.SSLContext:
    """Return the context for trio. A context whose class overrides ``wrap_bio`` is used unchanged."""
    if type(context).wrap_bio is not ssl.SSLContext.wrap_bio:
        return context
    return cast("ssl.SSLContext", _Http1Context(context))  # trio calls `wrap_bio`, and nothing else


async def start_tls(stream: trio.abc.Stream, tls: ssl.SSLContext, host: str) -> trio.abc.Stream:
    """Do a TLS handshake over an open stream. If it fails or is cancelled, the stream is closed.

    Args:
        stream: The connection. The returned stream owns it.
        tls: The settings. They are not changed. HTTP/1.1 alone is offered, whatever their ALPN setting. A context of a
            class that overrides ``wrap_bio`` makes the connection itself, and has to offer HTTP/1.1 itself.
        host: The host name or IP address for which the certificate has to be valid.

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
    """Return the error for a failed TLS handshake."""
    cause = failure.__cause__
    if isinstance(cause, ssl.SSLCertVerificationError):
        return CertificateRefused(f"the certificate of {host} was refused: {cause.verify_message}")
    return ConnectionFailed(f"TLS handshake with {host} failed: {cause or failure}")
