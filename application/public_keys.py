"""Public keys that others made: how strong they must be, and the one way in which they are written.

A key is judged before it verifies anything. A signature is checked on the event loop: a key whose
modulus or exponent its maker chose at will makes one check as long as the maker likes. A key of
small order verifies signatures that its maker never made.

1. RSA: a modulus of MIN_RSA_BITS to MAX_RSA_BITS, odd; an odd exponent from 65537 (FIPS 186-5,
   Section 5.1) to 32 bits, which every library that makes keys keeps.
2. EC: P-256, P-384 or P-521, and a point of the curve; the identity has no coordinates.
3. Ed25519: written as RFC 8032, Section 5.1.2 says, and not one of the eight points of small order.
   What is no point at all verifies nothing.
4. Every other kind of key is refused.

A JWK names a key by its thumbprint (RFC 7638), which is made of its text. Each member therefore has
one spelling: base64url without padding or spare bits, coordinates of full length (RFC 7518, Section
6.2.1.2), numbers of RSA without leading zeros (Section 6.3.1.1). Otherwise one key could be bound
under several names, and a key that is refused under one name would be taken under another.
"""

from collections.abc import Mapping
from typing import Any

import jwt
import msgspec
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from jwt.utils import base64url_decode, base64url_encode

MIN_RSA_BITS = 2048
MAX_RSA_BITS = 8192
MIN_RSA_EXPONENT = 65_537
MAX_RSA_EXPONENT = 2**32 - 1
PRIVATE_MEMBERS = frozenset({"d", "p", "q", "dp", "dq", "qi", "oth", "k"})  # RFC 7518, Section 6
THUMBPRINT_MEMBERS: Mapping[str, tuple[str, ...]] = {
    "EC": ("crv", "kty", "x", "y"),
    "OKP": ("crv", "kty", "x"),
    "RSA": ("e", "kty", "n"),
}
"""RFC 7638, Section 3.2: what a thumbprint is made of, in this order."""
_COORDINATE_BYTES: Mapping[str, Mapping[str, int]] = {
    "EC": {"P-256": 32, "P-384": 48, "P-521": 66},
    "OKP": {"Ed25519": 32},
}
_CURVES = (ec.SECP256R1, ec.SECP384R1, ec.SECP521R1)

_P = 2**255 - 19  # the field (RFC 8032, Section 5.1)
# The y of the points whose order is 1, 2, 4 and 8 (twice): doubled three times, each is neutral.
_OF_ORDER_8 = 0x7A03AC9277FDC74EC6CC392CFA53202A0F67100D760B3CBA4FD84D3D706A17C7
_SMALL_ORDER_Y = frozenset({1, _P - 1, 0, _OF_ORDER_8, _P - _OF_ORDER_8})


class UnusableKey(Exception):
    """A key is too weak, or written in another way than the one; the message quotes nothing."""


def require_strong(key: object) -> None:
    """Raise UnusableKey for a public key (of the library cryptography) that breaks 1 to 4."""
    match key:
        case rsa.RSAPublicKey():
            numbers = key.public_numbers()
            _require_strong_rsa(numbers.n, numbers.e)
        case ec.EllipticCurvePublicKey():
            if not isinstance(key.curve, _CURVES):
                raise UnusableKey("a curve that is not P-256, P-384 or P-521")
        case ed25519.Ed25519PublicKey():
            _require_strong_point(key.public_bytes_raw())
        case _:
            raise UnusableKey("a kind of key that is not RSA, EC or Ed25519")


def canonical_jwk(jwk: object) -> str:
    """Return the JSON that the thumbprint of a JWK is made of (RFC 7638, Section 3).

    Raises UnusableKey for a JWK that is private, malformed, written in another way, or weak as far
    as its numbers tell: whether the coordinates are those of a point shows when it is imported.
    """
    members = THUMBPRINT_MEMBERS.get(str(jwk.get("kty"))) if isinstance(jwk, Mapping) else None
    if not isinstance(jwk, Mapping) or members is None:
        raise UnusableKey("no public key")
    if PRIVATE_MEMBERS & jwk.keys():
        raise UnusableKey("a private key, where a public one belongs")
    if not all(isinstance(jwk.get(name), str) for name in members):
        raise UnusableKey("no public key")
    if jwk["kty"] == "RSA":
        _require_strong_rsa(_number(jwk["n"]), _number(jwk["e"]))
    else:
        _require_coordinates(jwk)
    return msgspec.json.encode({name: jwk[name] for name in members}).decode()


def imported_key(canonical: str) -> object:
    """Return the public key (of the library cryptography) of a `canonical_jwk`.

    Raises UnusableKey where its coordinates are those of no point.
    """
    try:
        key: object = jwt.PyJWK(msgspec.json.decode(canonical)).key
    except (jwt.PyJWTError, ValueError, TypeError):
        raise UnusableKey("no public key") from None
    return key


def _require_coordinates(jwk: Mapping[str, Any]) -> None:
    size = _COORDINATE_BYTES[jwk["kty"]].get(jwk["crv"])
    if size is None:
        raise UnusableKey("a curve that is not P-256, P-384, P-521 or Ed25519")
    coordinates = [_octets(jwk[name]) for name in ("x", "y") if name in jwk]
    if any(len(octets) != size for octets in coordinates):
        raise UnusableKey("a coordinate that is not of full length")
    if jwk["kty"] == "OKP":
        _require_strong_point(coordinates[0])


def _octets(text: str) -> bytes:
    """Return what `text` encodes. Raises UnusableKey unless it is the one way to write that."""
    # Before it is decoded: what is longer than the largest number here is none.
    if len(text) > MAX_RSA_BITS // 6 + 1:
        raise UnusableKey("a member that is too long")
    try:
        octets = base64url_decode(text)
    except ValueError:
        raise UnusableKey("a member that is not base64url") from None
    if base64url_encode(octets) != text.encode(errors="replace"):
        raise UnusableKey("a member that is not base64url without padding or spare bits")
    return octets


def _number(text: str) -> int:
    octets = _octets(text)
    if octets[:1] in (b"", b"\0"):
        raise UnusableKey("a number with leading zeros")
    return int.from_bytes(octets)


def _require_strong_rsa(modulus: int, exponent: int) -> None:
    if not MIN_RSA_BITS <= modulus.bit_length() <= MAX_RSA_BITS or modulus % 2 == 0:
        raise UnusableKey(f"an RSA modulus that is not of {MIN_RSA_BITS} to {MAX_RSA_BITS} bits")
    if not MIN_RSA_EXPONENT <= exponent <= MAX_RSA_EXPONENT or exponent % 2 == 0:
        raise UnusableKey("an RSA exponent that is not odd, from 65537 to 32 bits")


def _require_strong_point(encoded: bytes) -> None:
    """3. The library takes any 32 bytes."""
    y = int.from_bytes(encoded, "little") & (1 << 255) - 1
    if y >= _P:
        raise UnusableKey("an Ed25519 key that is written in a second way")
    if y in _SMALL_ORDER_Y:
        raise UnusableKey("an Ed25519 key of small order")
