"""Keys of strangers: at every door, weak ones verify nothing and each has one name."""

import base64
import json
import ssl
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import cbor2
import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from api.tls_context import asking_context
from application.administration.clients import require_usable
from application.certificates import UnreadableCertificate, certifies, parsed, read_chain
from application.dpop import DpopProofs, ProofUse
from application.errors import InvalidDpopProof, InvalidRequest
from application.foreign_jwt import imported, usable_keys
from application.key_material import generate_private_key, public_jwk
from application.people.passkeys import PasskeyRefused, Passkeys
from application.public_keys import UnusableKey, canonical_jwk
from domain.client_configuration import SIGNING_ALGORITHMS, Authentication
from domain.confirmation import DPOP, Confirmation
from tests.application.client_certificates import self_signed
from tests.application.dpop_key import DpopKey
from tests.application.fakes import MemoryNames
from tests.application.odd_keys import (
    SMALL_ORDER,
    b64,
    certificate_of,
    ed25519_jwk,
    number,
    rsa_jwk,
    slow_rsa,
    strong_private_keys,
    weak_private_keys,
)
from tests.application.people.conftest import (  # noqa: F401  # fixtures
    ORIGIN,
    RP_ID,
    credentials,
    passkeys,
    tables,
)
from tests.application.people.soft_authenticator import SoftAuthenticator
from tests.builders import NOON

URL = "https://auth.example/oauth/token"
EC = DpopKey("ES256").jwk
RSA = rsa_jwk(strong_private_keys()["RSA"])  # type: ignore[arg-type]
OKP = DpopKey("EdDSA").jwk
N = int.from_bytes(base64.urlsafe_b64decode(RSA["n"] + "=="))


def respelled(text: str) -> str:
    """Return the same octets with a spare bit set."""
    alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
    return text[:-1] + alphabet[alphabet.index(text[-1]) + 1]


ODD: dict[str, tuple[dict[str, Any], str]] = {
    "modulus of 1024 bits": ({**RSA, "n": number(N >> 1024 | 1)}, "RS256"),
    "modulus of 16384 bits": ({**RSA, "n": number(N << 14336 | 1)}, "RS256"),
    "even modulus": ({**RSA, "n": number(N + 1)}, "RS256"),
    "exponent 1": ({**RSA, "e": "AQ"}, "RS256"),
    "exponent 3": ({**RSA, "e": "Aw"}, "RS256"),
    "even exponent": ({**RSA, "e": number(65538)}, "RS256"),
    "huge exponent": (rsa_jwk(slow_rsa()), "RS256"),
    "exponent of 33 bits": ({**RSA, "e": number(2**32 + 1)}, "PS256"),
    "exponent with a leading zero": ({**RSA, "e": number(65537, zeros=1)}, "RS256"),
    "modulus with a leading zero": ({**RSA, "n": number(N, zeros=1)}, "PS256"),
    "padded": ({**EC, "x": EC["x"] + "="}, "ES256"),
    "spare bits": ({**EC, "y": respelled(EC["y"])}, "ES256"),
    "white space": ({**EC, "x": EC["x"] + "\n"}, "ES256"),
    "base64 of another alphabet": ({**EC, "x": "+" + EC["x"][1:]}, "ES256"),
    "a long coordinate": ({**EC, "x": b64(bytes(33))}, "ES256"),
    "a short coordinate": ({**EC, "x": b64(bytes(31))}, "ES256"),
    "the neutral point": ({**EC, "x": b64(bytes(32)), "y": b64(bytes(32))}, "ES256"),
    "another curve": ({**EC, "crv": "secp256k1"}, "ES256"),
    "Ed25519 padded": ({**OKP, "x": OKP["x"] + "="}, "EdDSA"),
    "Ed25519 in a second way": (ed25519_jwk((2**255 - 19 + 3).to_bytes(32, "little")), "EdDSA"),
    **{f"small order {n}": (ed25519_jwk(point), "EdDSA") for n, point in enumerate(SMALL_ORDER)},
    "Ed448": ({"kty": "OKP", "crv": "Ed448", "x": b64(bytes(57))}, "EdDSA"),
    "private": ({**RSA, "p": "AQAB"}, "RS256"),
    "symmetric": ({"kty": "oct", "k": "AAAA"}, "HS256"),
}


@pytest.mark.parametrize(("jwk", "algorithm"), ODD.values(), ids=ODD)
def test_an_odd_key_verifies_nothing(jwk: dict[str, Any], algorithm: str) -> None:
    """Neither at a jwks_uri, an issuer's or the upstream provider's, nor as one that is kept."""
    assert imported(jwk, algorithm) is None
    assert usable_keys([{**jwk, "kid": "k"}], SIGNING_ALGORITHMS) == []


@pytest.mark.parametrize(("jwk", "algorithm"), ODD.values(), ids=ODD)
def test_an_odd_key_is_not_registered(jwk: dict[str, Any], algorithm: str) -> None:
    """A client cannot register it, whatever it would have been good for."""
    with pytest.raises((InvalidRequest, ValueError)):
        require_usable(Authentication(method="private_key_jwt", jwks=({**jwk, "kid": "k"},)))


@pytest.mark.parametrize("name", ["RS256", "PS256", "ES256", "EdDSA"])
def test_keys_that_software_makes_are_taken(name: str) -> None:
    """Whatever we make ourselves, others make as well."""
    _, jwk = public_jwk(generate_private_key(name), name)

    assert imported(jwk, name) is not None


async def proved(proof: str) -> Confirmation:
    """Return the key that a proof proves to a fresh process."""
    proofs = DpopProofs(MemoryNames())
    return await proofs.confirmed([proof.encode()], ProofUse("POST", URL), NOON)


async def test_a_proof_with_a_huge_exponent_is_refused_unverified() -> None:
    """Its signature is right, and would have held up every other request for milliseconds."""
    key = DpopKey("RS256")
    key.private, key.jwk = slow_rsa(3072), rsa_jwk(slow_rsa(3072))
    with pytest.raises(InvalidDpopProof, match="exponent"):
        await proved(key.proof(URL, NOON))


async def test_a_key_of_small_order_proves_nothing() -> None:
    """The neutral point "signs" everything with a signature that holds no secret."""
    neutral = (1).to_bytes(32, "little")
    signed, _, _ = (
        DpopKey("EdDSA").proof(URL, NOON, header={"jwk": ed25519_jwk(neutral)}).rpartition(".")
    )
    forged = f"{signed}.{b64(neutral + bytes(32))}"
    with pytest.raises(InvalidDpopProof, match="small order"):
        await proved(forged)


@pytest.mark.parametrize("algorithm", ["ES256", "EdDSA", "RS256"])
async def test_a_key_has_one_thumbprint(algorithm: str) -> None:
    """A proof whose key is written in a second way would be of a second `jkt`."""
    key = DpopKey(algorithm)
    for member in {"x", "n", "e"} & key.jwk.keys():
        for other in (key.jwk[member] + "=", "AA" + key.jwk[member]):
            with pytest.raises(InvalidDpopProof, match="of no use"):
                await proved(key.proof(URL, NOON, header={"jwk": {**key.jwk, member: other}}))

    assert (await proved(key.proof(URL, NOON))) == key.confirmation


def test_a_thumbprint_has_one_spelling() -> None:
    """Two that say the same bytes would be two bindings of one key."""
    thumbprint = DpopKey().confirmation.thumbprint

    assert Confirmation.of({DPOP: thumbprint}).thumbprint == thumbprint
    with pytest.raises(ValueError, match="no confirmation"):
        Confirmation.of({DPOP: respelled(thumbprint)})


@pytest.mark.parametrize("kind", list(weak_private_keys()))
def test_a_certificate_with_a_weak_key_is_none(kind: str) -> None:
    """Of a connection, beside one, and registered: certificates of every algorithm."""
    der = certificate_of(weak_private_keys()[kind], now=NOON)
    strong = self_signed(now=NOON)
    with pytest.raises(UnreadableCertificate):
        parsed(der)
    with pytest.raises(UnreadableCertificate):
        read_chain([strong.der, der])

    assert not certifies({**strong.jwk(), "x5c": [base64.b64encode(der).decode()]})


@pytest.mark.parametrize("kind", list(strong_private_keys()))
def test_certificates_that_the_documentation_promises_are_taken(kind: str) -> None:
    """RSA of 2048 bits, P-256, P-384, P-521 and Ed25519."""
    key = strong_private_keys()[kind]

    assert parsed(certificate_of(key, now=NOON)).public_key() == key.public_key()


@pytest.mark.parametrize("curve", [ec.SECP384R1(), ec.SECP521R1()], ids=["P-384", "P-521"])
def test_a_registered_certificate_may_have_a_longer_key(curve: ec.EllipticCurve) -> None:
    """Its JWK is of the same key, though no JWT of ours is verified with that curve."""
    key = ec.generate_private_key(curve)
    jwk = jwt.algorithms.ECAlgorithm.to_jwk(key.public_key(), as_dict=True)
    x5c = [base64.b64encode(certificate_of(key, now=NOON)).decode()]

    assert certifies({**jwk, "x5c": x5c})
    assert usable_keys([jwk], SIGNING_ALGORITHMS) == []


def handshake(folder: Path, key: rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey) -> list[str]:
    """Return the certificates that our TLS learns of a client with `key`. Raises ssl.SSLError."""
    now = datetime.now(UTC)
    server = self_signed("CN=server", now=now).written_to(folder / "server.pem")
    mine = folder / "client.pem"
    private = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    mine.write_bytes(private + ssl.DER_cert_to_PEM_cert(certificate_of(key, now=now)).encode())
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    context.maximum_version = ssl.TLSVersion.TLSv1_2  # both are done at the same time
    context.load_cert_chain(mine)
    buffers = ssl.MemoryBIO(), ssl.MemoryBIO()
    client = context.wrap_bio(*buffers)
    session = asking_context(server, None).wrap_bio(buffers[1], buffers[0])
    waiting = {client.do_handshake, session.do_handshake}
    for _ in range(20):
        for step in tuple(waiting):
            try:
                step()
                waiting.discard(step)
            except ssl.SSLWantReadError:
                continue
        if not waiting:
            return session.client_chain()
    raise AssertionError("the handshake does not end")


def test_a_handshake_with_a_weak_key_ends_before_it_is_verified(tmp_path: Path) -> None:
    """Our own TLS looks at the key first; a strong one goes on, whoever signed its certificate."""
    assert len(handshake(tmp_path, ec.generate_private_key(ec.SECP256R1()))) == 1
    with pytest.raises(ssl.SSLError):
        handshake(tmp_path, slow_rsa())


async def test_a_passkey_with_a_weak_key_is_not_kept(passkeys: Passkeys) -> None:  # noqa: F811
    """Neither one with a huge exponent nor an attestation by a certificate with such a key."""
    numbers = slow_rsa().public_key().public_numbers()
    weak = cbor2.dumps(
        {
            1: 3,
            3: -257,
            -1: bytes.fromhex(f"{numbers.n:x}"),
            -2: bytes.fromhex(f"{numbers.e:0512x}"),
        }
    )
    certificate = certificate_of(slow_rsa(), now=NOON)
    for cose, statement in (
        (weak, {"fmt": "none", "attStmt": {}}),
        (None, {"fmt": "packed", "attStmt": {"alg": -257, "sig": b"s", "x5c": [certificate]}}),
    ):
        device = SoftAuthenticator(origin=ORIGIN, rp_id=RP_ID)
        options = await passkeys.registration_options("alice", login="alice", now=NOON)
        response = json.loads(device.create(options))
        encoded = response["response"]["attestationObject"]
        attestation = cbor2.loads(base64.urlsafe_b64decode(encoded + "=="))
        if cose is not None:
            attestation["authData"] = attestation["authData"][: 37 + 16 + 2 + 32] + cose
        response["response"]["attestationObject"] = b64(cbor2.dumps(attestation | statement))
        with pytest.raises(PasskeyRefused, match="exponent"):
            await passkeys.register("alice", json.dumps(response), label="Phone", now=NOON)


def test_what_is_no_key_is_unusable() -> None:
    """Whatever strangers put in the place of a key: it is refused and never fails."""
    odds: tuple[object, ...] = (
        None,
        [],
        "",
        {},
        {"kty": "EC"},
        {**EC, "x": 7},
        {**RSA, "n": ""},
        {**EC, "crv": []},
        {**EC, "kty": ["EC"]},
    )
    for odd in odds:
        with pytest.raises(UnusableKey):
            canonical_jwk(odd)
