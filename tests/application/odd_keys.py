"""Keys that no software of good faith makes: weak, slow, or written in a second way."""

import datetime as dt
from functools import cache
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import dsa, ec, ed448, ed25519, rsa
from cryptography.hazmat.primitives.asymmetric.types import PrivateKeyTypes
from cryptography.hazmat.primitives.serialization import Encoding
from jwt.utils import base64url_encode

DAY = dt.timedelta(days=1)
SMALL_ORDER = tuple(
    value.to_bytes(32, "little")
    for y in (
        0,
        1,
        2**255 - 20,
        0x7A03AC9277FDC74EC6CC392CFA53202A0F67100D760B3CBA4FD84D3D706A17C7,
        2**255 - 19 - 0x7A03AC9277FDC74EC6CC392CFA53202A0F67100D760B3CBA4FD84D3D706A17C7,
    )
    for value in (y, y | 1 << 255)
)
"""The points of Ed25519 whose order divides 8, with either sign."""


def b64(octets: bytes) -> str:
    """Return `octets` in base64url without padding."""
    return base64url_encode(octets).decode()


def number(value: int, *, zeros: int = 0) -> str:
    """Return a number as a JWK writes it, or with leading zeros."""
    return b64(bytes(zeros) + value.to_bytes((value.bit_length() + 7) // 8))


@cache
def slow_rsa(bits: int = 2048) -> rsa.RSAPrivateKey:
    """Return a key that works and whose public exponent is as long as its modulus."""
    numbers = rsa.generate_private_key(65537, bits).private_numbers()
    order = (numbers.p - 1) * (numbers.q - 1)
    # lcm(p-1, q-1) divides it, and (p-1)(q-1)/2 is a multiple of that.
    public = rsa.RSAPublicNumbers(65537 + order // 2, numbers.public_numbers.n)
    return rsa.RSAPrivateNumbers(
        numbers.p, numbers.q, numbers.d, numbers.dmp1, numbers.dmq1, numbers.iqmp, public
    ).private_key(unsafe_skip_rsa_key_validation=True)


def rsa_jwk(key: rsa.RSAPrivateKey, **changes: str) -> dict[str, Any]:
    """Return the public JWK of a key."""
    numbers = key.public_key().public_numbers()
    return {"kty": "RSA", "n": number(numbers.n), "e": number(numbers.e), **changes}


def ed25519_jwk(octets: bytes) -> dict[str, Any]:
    """Return the JWK of a point."""
    return {"kty": "OKP", "crv": "Ed25519", "x": b64(octets)}


@cache
def weak_private_keys() -> dict[str, PrivateKeyTypes]:
    """Return a key of each kind that is none of those the documentation promises."""
    return {
        "RSA of 1024 bits": rsa.generate_private_key(65537, 1024),  # noqa: S505  # weak on purpose
        "RSA with the exponent 3": rsa.generate_private_key(3, 2048),
        "RSA with a huge exponent": slow_rsa(),
        "secp256k1": ec.generate_private_key(ec.SECP256K1()),
        "P-224": ec.generate_private_key(ec.SECP224R1()),
        "brainpool": ec.generate_private_key(ec.BrainpoolP256R1()),
        "Ed448": ed448.Ed448PrivateKey.generate(),
        "DSA": dsa.generate_private_key(1024),  # noqa: S505  # likewise
    }


@cache
def strong_private_keys() -> dict[str, PrivateKeyTypes]:
    """Return a key of each kind that the documentation promises."""
    return {
        "RSA": rsa.generate_private_key(65537, 2048),
        "P-256": ec.generate_private_key(ec.SECP256R1()),
        "P-384": ec.generate_private_key(ec.SECP384R1()),
        "P-521": ec.generate_private_key(ec.SECP521R1()),
        "Ed25519": ed25519.Ed25519PrivateKey.generate(),
    }


def certificate_of(key: PrivateKeyTypes, *, now: dt.datetime) -> bytes:
    """Return a certificate (DER) of a key, signed by a strong one."""
    name = x509.Name.from_rfc4514_string("CN=agent")
    return (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())  # type: ignore[arg-type]  # none is for exchanging keys
        .serial_number(1)
        .not_valid_before(now - DAY)
        .not_valid_after(now + DAY)
        .sign(strong_private_keys()["P-256"], hashes.SHA256())  # type: ignore[arg-type]
        .public_bytes(Encoding.DER)
    )
