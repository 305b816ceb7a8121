"""TLS that asks for a certificate and takes whichever comes (decision 20).

Python's own `ssl` breaks off the handshake of every certificate that it cannot verify, the
self-signed among them, before anybody can decide. OpenSSL leaves that to a callback, and PyOpenSSL
has. The sender proves here that it holds the key of its certificate, which no callback can waive
(RFC 8446, Section 4.4.3); what the certificate is worth is decided with the client
(application.certificate_clients).

1 TLS 1.2 at least, with forward secrecy and AEAD, 2 no renegotiation and no resumption: one
connection has one certificate, proved in it, 3 certificates are asked for and not required, 4 their
keys are strong (application.public_keys): OpenSSL tells of each before it verifies anything with
it, and a signature of a key with a huge exponent holds up every other connection.
"""

import ssl
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

from OpenSSL import SSL, crypto

from application.public_keys import require_strong
from application.settings import SettingsError

_CIPHERS = b"ECDHE+AESGCM:ECDHE+CHACHA20"
_PIECE = 64 * 1024
R = TypeVar("R")


class AskingContext(ssl.SSLContext):
    """What asyncio takes for an SSLContext: its connections are PyOpenSSL's."""

    _openssl: SSL.Context

    def __new__(cls, _: SSL.Context) -> "AskingContext":
        return super().__new__(cls, ssl.PROTOCOL_TLS_SERVER)

    def __init__(self, openssl: SSL.Context) -> None:
        self._openssl = openssl

    def wrap_bio(  # type: ignore[override]  # asyncio asks no more of an SSLObject than TlsSession has
        self, incoming: ssl.MemoryBIO, outgoing: ssl.MemoryBIO, *_: object, **__: object
    ) -> "TlsSession":
        """Return the session of a connection whose bytes come and go by the two buffers."""
        return TlsSession(SSL.Connection(self._openssl, None), incoming, outgoing)


class TlsSession:
    """One connection: what asyncio asks of an ssl.SSLObject, and the certificate of the other."""

    def __init__(
        self, connection: SSL.Connection, incoming: ssl.MemoryBIO, outgoing: ssl.MemoryBIO
    ) -> None:
        self._connection = connection
        self._incoming = incoming
        self._outgoing = outgoing
        connection.set_accept_state()

    def client_chain(self) -> list[str]:
        """Return the certificate that was proved, and those beside it, in PEM; [] without one."""
        own = self._connection.get_peer_certificate()
        if own is None:
            return []
        # A server's view of the chain lacks the first certificate (SSL_get_peer_cert_chain(3)).
        chain = [own, *(self._connection.get_peer_cert_chain() or ())]
        texts = [crypto.dump_certificate(crypto.FILETYPE_PEM, one).decode() for one in chain]
        return list(dict.fromkeys(texts))

    def do_handshake(self) -> None:
        """Go on with the handshake. Raises ssl.SSLError, SSLWantReadError for more to read."""
        self._step(self._connection.do_handshake)

    def read(self, size: int, buffer: bytearray | None = None) -> bytes | int:
        """Return what was received, b"" or 0 at the end of it. Raises as `do_handshake`."""
        try:
            if buffer is None:
                return self._step(lambda: self._connection.recv(size))
            return self._step(lambda: self._connection.recv_into(buffer, size))
        except ssl.SSLZeroReturnError:
            return 0 if buffer is not None else b""

    def write(self, data: bytes) -> int:
        """Send; return how many bytes. Raises as `do_handshake`."""
        return self._step(lambda: self._connection.send(data))

    def unwrap(self) -> None:
        """Say that nothing more comes. The other side's answer is not waited for."""
        self._step(self._connection.shutdown)

    def getpeercert(self) -> None:
        """Return nothing: `client_chain` has it, unverified and therefore under another name."""

    def cipher(self) -> tuple[str, str, int] | None:
        """Return name, protocol and bits of the cipher."""
        name = self._connection.get_cipher_name()
        version, bits = (
            self._connection.get_cipher_version(),
            self._connection.get_cipher_bits(),
        )
        return (name, version, bits) if name and version and bits else None

    def compression(self) -> None:
        """Return nothing: there is none (RFC 8446, Section 4.1.2)."""

    def _step(self, act: Callable[[], R]) -> R:
        received = self._incoming.read()
        if received:
            self._connection.bio_write(received)
        try:
            return act()
        except SSL.WantReadError:
            raise ssl.SSLWantReadError from None
        except SSL.ZeroReturnError:
            raise ssl.SSLZeroReturnError from None
        except SSL.Error:
            # Its words may quote what was received.
            raise ssl.SSLError("the TLS connection failed") from None
        finally:
            self._flush()

    def _flush(self) -> None:
        while True:
            try:
                self._outgoing.write(self._connection.bio_read(_PIECE))
            except SSL.WantReadError:
                return


def asking_context(certificate: Path, key: Path | None) -> AskingContext:
    """Return the context of a server with `certificate` and `key` (PEM). Raises SettingsError."""
    context = SSL.Context(SSL.TLS_SERVER_METHOD)
    context.set_min_proto_version(SSL.TLS1_2_VERSION)  # 1
    context.set_cipher_list(_CIPHERS)
    context.set_options(SSL.OP_NO_RENEGOTIATION | SSL.OP_NO_TICKET | SSL.OP_NO_COMPRESSION)  # 2
    context.set_session_cache_mode(SSL.SESS_CACHE_OFF)
    context.set_verify(SSL.VERIFY_PEER, _goes_on)  # 3, 4
    try:
        context.use_certificate_chain_file(str(certificate))
        context.use_privatekey_file(str(key or certificate))
        context.check_privatekey()
    except SSL.Error:
        raise SettingsError(
            "GRANTLEDGER_MTLS_CERTIFICATE_FILE: no certificate in PEM with its key behind it,"
            " or in GRANTLEDGER_MTLS_KEY_FILE"
        ) from None
    return AskingContext(context)


def _goes_on(_: SSL.Connection, certificate: crypto.X509, *__: int) -> bool:
    """Tell whether the handshake goes on: whoever signed the certificate, with a strong key."""
    try:
        require_strong(certificate.to_cryptography().public_key())
    except (
        Exception
    ):  # a weak key, or a certificate that cannot be read; no error may pass for a yes
        return False
    return True
