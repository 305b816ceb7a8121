"""Proofs of possession: what is wrong with one is told, and nothing wrong gets by."""

from base64 import urlsafe_b64encode
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

import jwt
import msgspec
import pytest
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from jwt.algorithms import ECAlgorithm, RSAAlgorithm

from application.dpop import PROOF_SECONDS, DpopProofs, ProofUse
from application.dpop_nonces import DpopNonces
from application.errors import InvalidDpopProof, UseDpopNonce
from application.secret_keys import Peppers, SecretKey
from domain.confirmation import CERTIFICATE, DPOP, Confirmation
from tests.application.dpop_key import DpopKey, hashed
from tests.application.fakes import MemoryNames
from tests.application.service import OLD_PEPPER, PEPPER
from tests.builders import NOON

URL = "https://auth.example/oauth/token"
TOKEN = "an.access.token"  # of nobody
KEY = DpopKey()
OTHER = DpopKey()
USE = ProofUse("POST", URL)
MINUTE = timedelta(seconds=PROOF_SECONDS)


@dataclass
class Scene:
    """Two replicas that share what was used; nonces change each `nonce_seconds`, 0 for none."""

    nonce_seconds: int = 0
    names: MemoryNames = field(default_factory=MemoryNames)

    def __post_init__(self) -> None:
        self.nonces = DpopNonces(Peppers([PEPPER, OLD_PEPPER]), seconds=self.nonce_seconds)
        self.replicas = [DpopProofs(self.names, self.nonces) for _ in range(2)]

    async def confirmed(
        self, *proofs: str, use: ProofUse = USE, now: datetime = NOON, replica: int = 0
    ) -> Confirmation:
        """Return the key that the headers prove."""
        headers = [proof.encode() for proof in proofs]
        return await self.replicas[replica].confirmed(headers, use, now)


def rewritten(proof: str, *, header: dict[str, Any] | None = None, **claims: Any) -> str:
    """Return `proof` with other parts under the same signature."""
    first, second, third = proof.split(".")
    parts = [
        {**msgspec.json.decode(_decoded(first)), **(header or {})},
        {**msgspec.json.decode(_decoded(second)), **claims},
    ]
    return ".".join([*(_encoded(msgspec.json.encode(part)) for part in parts), third])


def _decoded(part: str) -> bytes:
    return jwt.utils.base64url_decode(part)


def _encoded(part: bytes) -> str:
    return urlsafe_b64encode(part).rstrip(b"=").decode()


def by_secret() -> str:
    """A proof under a shared key: anybody could have made it."""
    claims = {"jti": "j", "htm": "POST", "htu": URL, "iat": int(NOON.timestamp())}
    headers = {"typ": "dpop+jwt", "jwk": KEY.jwk}
    return jwt.encode(claims, "s" * 32, algorithm="HS256", headers=headers)


def by_curve(curve: ec.EllipticCurve) -> str:
    """A proof signed by ES256 with a key of a curve that is not its own."""
    private = ec.generate_private_key(curve)
    jwk = ECAlgorithm.to_jwk(private.public_key(), as_dict=True)
    return KEY.proof(URL, NOON, header={"jwk": jwk})


def by_short_key() -> str:
    """A proof whose key is RSA of 1024 bits."""
    private = rsa.generate_private_key(public_exponent=65537, key_size=1024)  # noqa: S505  # to be refused
    jwk = RSAAlgorithm.to_jwk(private.public_key(), as_dict=True)
    jwk.pop("key_ops", None)
    return DpopKey("RS256").proof(URL, NOON, header={"jwk": jwk})


def at(moment: datetime) -> Callable[[], str]:
    """Return what makes a proof of that moment."""
    return lambda: KEY.proof(URL, NOON, iat=moment.timestamp())


REFUSED: list[tuple[str, Callable[[], str], str]] = [
    ("no JWT", lambda: "proof", "not a JWT"),
    ("empty", lambda: "", "not a JWT"),
    ("no ASCII", lambda: "é.é.é", "not a JWT"),
    ("two of three parts", lambda: KEY.proof(URL, NOON).rsplit(".", 1)[0], "not a JWT"),
    ("oversized", lambda: KEY.proof(URL, NOON, more="x" * 17_000), "not a JWT"),
    ("a critical header", lambda: KEY.proof(URL, NOON, header={"crit": ["b64"]}), "not a JWT"),
    ("no jti", lambda: KEY.proof(URL, NOON, jti=None), "jti"),
    ("an empty jti", lambda: KEY.proof(URL, NOON, jti=""), "jti"),
    ("a jti that is a number", lambda: rewritten(KEY.proof(URL, NOON), jti=7), "jti"),
    ("an oversized jti", lambda: KEY.proof(URL, NOON, jti="x" * 513), "jti"),
    ("no htm", lambda: KEY.proof(URL, NOON, htm=None), "htm"),
    ("no htu", lambda: KEY.proof(URL, NOON, htu=None), "htu"),
    ("an htu that is a list", lambda: KEY.proof(URL, NOON, htu=[URL]), "htu"),
    ("no iat", lambda: KEY.proof(URL, NOON, iat=None), "iat"),
    ("an iat that is text", lambda: rewritten(KEY.proof(URL, NOON), iat="now"), "iat"),
    ("an iat beyond every calendar", lambda: rewritten(KEY.proof(URL, NOON), iat=1e300), "iat"),
    ("an iat of 400 digits", lambda: KEY.proof(URL, NOON, iat=10**400), "iat"),
    ("no type", lambda: KEY.proof(URL, NOON, header={"typ": None}), "type"),
    ("of type JWT", lambda: KEY.proof(URL, NOON, header={"typ": "JWT"}), "type"),
    ("an access token", lambda: KEY.proof(URL, NOON, header={"typ": "at+jwt"}), "type"),
    ("alg none", lambda: rewritten(KEY.proof(URL, NOON), header={"alg": "none"}), "signed by"),
    ("a shared key", by_secret, "signed by"),
    ("alg ES384", lambda: rewritten(KEY.proof(URL, NOON), header={"alg": "ES384"}), "signed by"),
    ("an alg that is a list", lambda: rewritten(KEY.proof(URL, NOON), header={"alg": []}), "by"),
    ("alg of another type of key", lambda: rewritten(KEY.proof(URL, NOON), header={"alg": "RS256"}),
     "no use"),
    ("no jwk", lambda: KEY.proof(URL, NOON, header={"jwk": None}), "jwk"),
    ("a jwk that is text", lambda: KEY.proof(URL, NOON, header={"jwk": "key"}), "jwk"),
    ("a private jwk", lambda: KEY.proof(URL, NOON, header={"jwk": KEY.private_jwk}), "public"),
    ("a symmetric jwk", lambda: KEY.proof(URL, NOON, header={"jwk": {"kty": "oct", "k": "AA"}}),
     "jwk"),
    ("half a jwk", lambda: KEY.proof(URL, NOON, header={"jwk": {**KEY.jwk, "y": None}}), "jwk"),
    ("a point off the curve", lambda: KEY.proof(URL, NOON, header={"jwk": {**KEY.jwk, "y": "AA"}}),
     "no use"),
    ("a key of P-384", lambda: by_curve(ec.SECP384R1()), "no use"),
    ("a key of secp256k1", lambda: by_curve(ec.SECP256K1()), "no use"),
    ("RSA of 1024 bits", by_short_key, "no use"),
    ("the key of somebody else", lambda: KEY.proof(URL, NOON, header={"jwk": OTHER.jwk}), "fit"),
    ("changed afterwards", lambda: rewritten(KEY.proof(URL, NOON), jti="new"), "fit"),
    ("without its signature", lambda: KEY.proof(URL, NOON).rsplit(".", 1)[0] + ".", "fit"),
    ("for GET", lambda: KEY.proof(URL, NOON, method="GET"), "htm"),
    ("for post", lambda: KEY.proof(URL, NOON, method="post"), "htm"),
    ("for another path", lambda: KEY.proof(URL + "/", NOON), "htu"),
    ("for another host", lambda: KEY.proof(URL.replace("auth", "evil"), NOON), "htu"),
    ("for another scheme", lambda: KEY.proof(URL.replace("https", "http"), NOON), "htu"),
    ("for another port", lambda: KEY.proof(URL.replace("example", "example:444"), NOON), "htu"),
    ("for an impossible port", lambda: KEY.proof("https://auth.example:x/oauth/token", NOON),
     "htu"),
    ("for a path of another case", lambda: KEY.proof(URL.replace("oauth", "OAuth"), NOON), "htu"),
    ("too old", at(NOON - MINUTE - timedelta(seconds=1)), "iat"),
    ("of the future", at(NOON + MINUTE + timedelta(seconds=1)), "iat"),
]  # fmt: skip


@pytest.mark.parametrize(("description", "make", "told"), REFUSED, ids=[row[0] for row in REFUSED])
async def test_a_wrong_proof_is_refused(
    description: str, make: Callable[[], str], told: str
) -> None:
    """A proof that is wrong in any way is refused, its maker told why, and its name not used up."""
    scene = Scene()

    with pytest.raises(InvalidDpopProof, match=told):
        await scene.confirmed(make())
    assert scene.names.kept == {}


@pytest.mark.parametrize("count", [0, 2])
async def test_there_is_one_header(count: int) -> None:
    """RFC 9449, Section 4.3: there is not more than one DPoP header, however good each is."""
    with pytest.raises(InvalidDpopProof, match="one DPoP header"):
        await Scene().confirmed(*[KEY.proof(URL, NOON) for _ in range(count)])


@pytest.mark.parametrize("algorithm", ["ES256", "EdDSA", "PS256", "RS256"])
async def test_a_proof_names_its_key(algorithm: str) -> None:
    """A good proof of each algorithm leads to the thumbprint (RFC 7638) of its key."""
    key = DpopKey(algorithm)

    assert await Scene().confirmed(key.proof(URL, NOON)) == key.confirmation


async def test_the_thumbprint_of_the_rfc() -> None:
    """The key of RFC 9449, Section 4.1, has the thumbprint that Section 6.1 prints, whatever
    members stand beside those that count.
    """
    jwk = {
        "kty": "EC",
        "x": "l8tFrhx-34tV3hRICRDY9zCkDlpBhF42UQUfWVAWBFs",
        "y": "9VE4jf_Ok_o64zbTTlcuNJajHmt6v9TDVrU0CdvGRDA",
        "crv": "P-256",
    }
    # The proof of that section, for a request of 2019.
    proof = (
        "eyJ0eXAiOiJkcG9wK2p3dCIsImFsZyI6IkVTMjU2IiwiandrIjp7Imt0eSI6Ik"
        "VDIiwieCI6Imw4dEZyaHgtMzR0VjNoUklDUkRZOXpDa0RscEJoRjQyVVFVZldWQVdCR"
        "nMiLCJ5IjoiOVZFNGpmX09rX282NHpiVFRsY3VOSmFqSG10NnY5VERWclUwQ2R2R1JE"
        "QSIsImNydiI6IlAtMjU2In19.eyJqdGkiOiItQndDM0VTYzZhY2MybFRjIiwiaHRtIj"
        "oiUE9TVCIsImh0dSI6Imh0dHBzOi8vc2VydmVyLmV4YW1wbGUuY29tL3Rva2VuIiwia"
        "WF0IjoxNTYyMjYyNjE2fQ.2-GxA6T8lP4vfrg8v-FdWP0A0zdrj8igiMLvqRMUvwnQg"
        "4PtFLbdLXiOSsX0x7NVY-FNyJK70nfbV37xRZT3Lg"
    )
    of_2019 = datetime.fromisoformat("2019-07-04T17:50:16+00:00")

    confirmation = await Scene().confirmed(
        proof, use=ProofUse("POST", "https://server.example.com/token"), now=of_2019
    )

    assert jwk == msgspec.json.decode(_decoded(proof.split(".", maxsplit=1)[0]))["jwk"]
    assert confirmation == Confirmation(DPOP, "0ZcOCORZNYy-DWpqq30jZyJGHTN0d2HglBV3uiguA4I")


@pytest.mark.parametrize(
    "htu",
    [
        URL + "?x=1",
        URL + "#top",
        "HTTPS://AUTH.example/oauth/token",
        "https://auth.example:443/oauth/token",
        "https://auth.example/%6Fauth/token",
    ],
)
async def test_an_endpoint_has_several_spellings(htu: str) -> None:
    """RFC 9449, Section 4.3: query and fragment do not count, and URIs are compared normalised."""
    assert await Scene().confirmed(KEY.proof(htu, NOON)) == KEY.confirmation


async def test_a_proof_counts_once_on_all_replicas() -> None:
    """A proof that comes again, to whatever replica, is refused for as long as it could count."""
    scene, proof = Scene(), KEY.proof(URL, NOON + MINUTE)
    await scene.confirmed(proof)

    for moment in (NOON, NOON + 2 * MINUTE - timedelta(seconds=1)):
        with pytest.raises(InvalidDpopProof, match="used before"):
            await scene.confirmed(proof, replica=1, now=moment)


async def test_each_key_has_its_own_names() -> None:
    """Two clients may happen to use one jti; neither can use up the other's."""
    scene = Scene()

    assert await scene.confirmed(KEY.proof(URL, NOON, jti="1")) == KEY.confirmation
    assert await scene.confirmed(OTHER.proof(URL, NOON, jti="1")) == OTHER.confirmation


@pytest.mark.parametrize("offset", [-MINUTE, MINUTE])
async def test_clocks_differ(offset: timedelta) -> None:
    """A proof may be a minute old, and the clock of its maker a minute ahead."""
    assert await Scene().confirmed(KEY.proof(URL, NOON + offset)) == KEY.confirmation


BOUND = ProofUse("POST", URL, access_token=TOKEN, bound_to=KEY.confirmation)


@pytest.mark.parametrize(
    ("description", "make", "use", "told"),
    [
        ("no ath", lambda: KEY.proof(URL, NOON), BOUND, "ath"),
        ("no text", lambda: KEY.proof(URL, NOON, ath=7), BOUND, "ath"),
        ("no ASCII", lambda: KEY.proof(URL, NOON, ath="é" * 43), BOUND, "ath"),
        ("another token's", lambda: KEY.proof(URL, NOON, access_token="other"), BOUND, "ath"),
        (
            "the token itself",
            lambda: KEY.proof(URL, NOON, ath=TOKEN),
            BOUND,
            "ath",
        ),
        (
            "another key",
            lambda: OTHER.proof(URL, NOON, access_token=TOKEN),
            BOUND,
            "another key",
        ),
        (
            "a token bound to nothing",
            lambda: KEY.proof(URL, NOON, access_token=TOKEN),
            ProofUse("POST", URL, access_token=TOKEN),
            "another key",
        ),
        (
            "a token bound to a certificate",
            lambda: KEY.proof(URL, NOON, access_token=TOKEN),
            ProofUse(
                "POST",
                URL,
                access_token=TOKEN,
                bound_to=Confirmation(CERTIFICATE, KEY.confirmation.thumbprint),
            ),
            "another key",
        ),
    ],
)
async def test_a_proof_beside_a_token_is_for_that_token(
    description: str, make: Callable[[], str], use: ProofUse, told: str
) -> None:
    """With an access token, the proof holds its hash and is made with the key it is bound to."""
    scene = Scene()

    with pytest.raises(InvalidDpopProof, match=told):
        await scene.confirmed(make(), use=use)
    assert scene.names.kept == {}


async def test_a_proof_with_its_token_is_taken() -> None:
    """The proof of the token's own key, with the token's hash, is good."""
    proof = KEY.proof(URL, NOON, ath=hashed(TOKEN))

    assert await Scene().confirmed(proof, use=BOUND) == KEY.confirmation


async def test_the_nonce_of_this_service_is_asked_for() -> None:
    """Where nonces are on, a proof without one, or with one that is none of ours, is refused; with
    the one that is handed out it is taken, whatever the clock of the client says.
    """
    scene = Scene(nonce_seconds=300)
    nonce = scene.nonces.current(NOON)
    stranger = DpopNonces(Peppers([SecretKey("pepper-9", b"s" * 32)]), seconds=300).current(NOON)

    for wrong in (None, "", "é", 7, stranger, nonce[:-1], nonce.swapcase()):
        with pytest.raises(UseDpopNonce):
            await scene.confirmed(KEY.proof(URL, NOON, nonce=wrong))
    yesterday = NOON - timedelta(days=1)
    assert await scene.confirmed(KEY.proof(URL, yesterday, nonce=nonce)) == KEY.confirmation


async def test_nonces_rotate() -> None:
    """A nonce changes with each slot; the one before is still taken, an older one is not; a
    replica whose clock is behind takes one of a replica that is ahead.
    """
    scene, slot = Scene(nonce_seconds=300), timedelta(seconds=300)
    nonce = scene.nonces.current(NOON)

    assert scene.nonces.current(NOON + slot) != nonce
    taken = [scene.nonces.fits(nonce, NOON + slot * n) for n in (-2, -1, 0, 1, 2)]
    assert taken == [False, True, True, True, False]


async def test_nonces_outlive_a_rotation_of_the_pepper() -> None:
    """A nonce made under the pepper before the current one still counts: replicas change one
    after the other.
    """
    before = DpopNonces(Peppers([OLD_PEPPER]), seconds=300).current(NOON)

    assert DpopNonces(Peppers([PEPPER, OLD_PEPPER]), seconds=300).fits(before, NOON)


async def test_a_proof_with_a_nonce_counts_once() -> None:
    """With nonces on, a proof stays used for as long as its nonce could be taken."""
    scene = Scene(nonce_seconds=300)
    proof = KEY.proof(URL, NOON, nonce=scene.nonces.current(NOON))
    await scene.confirmed(proof)

    with pytest.raises(InvalidDpopProof, match="used before"):
        await scene.confirmed(proof, now=NOON + timedelta(seconds=300), replica=1)
