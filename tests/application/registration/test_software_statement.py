"""Software statements: what a trusted publisher signed counts more than what a client says."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from application.errors import IssuerAway, OAuthError
from application.registration.software_statement import Publisher
from application.settings import SettingsError, load_settings
from tests.application.foreign_issuer import MADE_AT, ForeignIssuer, foreign_issuer
from tests.application.people.upstream_provider import SigningKey
from tests.application.registration.scene import CALLBACK, RegisteringService

SAYS: dict[str, Any] = {"client_name": "Checked", "software_id": "4NRB1", "scope": "openid"}


@pytest.fixture
def publisher(service: RegisteringService) -> Iterator[ForeignIssuer]:
    """A publisher whose statements count; its keys are published."""
    with foreign_issuer() as issuer:
        service.publishers = (Publisher(issuer=issuer.name, jwks_uri=f"{issuer.name}/jwks"),)
        yield issuer


def statement(publisher: ForeignIssuer, **changes: Any) -> str:
    """Return a good statement, but for `changes`."""
    return publisher.token("JWT", **{"sub": None, "jti": None, **SAYS, **changes})


async def test_its_claims_take_precedence(
    service: RegisteringService, publisher: ForeignIssuer
) -> None:
    """RFC 7591, Section 2.3; who vouched is recorded."""
    registered = await service.register(
        software_statement=statement(publisher), client_name="Mine", scope="openid profile"
    )
    client = service.now(registered)

    assert (client.name, client.scopes) == ("Checked", ("openid",))
    assert client.registration.software_id == "4NRB1"
    assert client.registration.publisher == publisher.name
    assert client.redirects.redirect_uris == (CALLBACK,)


async def test_keys_in_the_settings(service: RegisteringService, publisher: ForeignIssuer) -> None:
    """Nothing is fetched where the keys are given."""
    keys = tuple(publisher.provider.keys)
    service.publishers = (Publisher(issuer=publisher.name, jwks=keys),)
    registered = await service.register(software_statement=statement(publisher, aud=None))

    assert registered.client.registration.publisher == publisher.name
    assert publisher.provider.requests == {}


OTHER = SigningKey.make("ES256")
INVALID = "invalid_software_statement"
REFUSED: tuple[tuple[str, dict[str, Any], str], ...] = (
    ("another key", {"key": OTHER}, INVALID),
    ("unknown kid", {"header": {"kid": "other"}}, INVALID),
    ("shared key", {"header": {"alg": "HS256"}}, INVALID),
    ("critical header", {"header": {"crit": ["b64"]}}, INVALID),
    ("expired", {"exp": MADE_AT - 1}, INVALID),
    ("expired now", {"exp": MADE_AT}, INVALID),
    ("impossible end", {"exp": "soon"}, INVALID),
    ("not yet", {"nbf": MADE_AT + 600}, INVALID),
    ("of the future", {"iat": MADE_AT + 600}, INVALID),
    ("for another service", {"aud": "https://other.example"}, INVALID),
    ("for others", {"aud": ["https://a.example", "https://b.example"]}, INVALID),
    ("unknown publisher", {"iss": "https://evil.example"}, "unapproved_software_statement"),
    ("no publisher", {"iss": None}, "unapproved_software_statement"),
    ("publisher no text", {"iss": ["x"]}, "unapproved_software_statement"),
    ("scope of administrators", {"scope": "admin"}, "invalid_client_metadata"),
    ("script", {"redirect_uris": ["javascript:1"]}, "invalid_redirect_uri"),
)


@pytest.mark.parametrize(
    ("description", "changes", "code"), REFUSED, ids=[row[0] for row in REFUSED]
)
async def test_refusals(
    service: RegisteringService,
    publisher: ForeignIssuer,
    description: str,
    changes: dict[str, Any],
    code: str,
) -> None:
    """Each defect has its error, and what a statement says is within the limits as well."""
    with pytest.raises(OAuthError) as refusal:
        await service.register(software_statement=statement(publisher, **changes))

    assert (refusal.value.code, refusal.value.status) == (code, 400)
    assert service.log.events == []


@pytest.mark.parametrize("text", [7, {}, "a.b", "a.b.c", "x" * 20_000])
async def test_no_statement(service: RegisteringService, text: Any) -> None:
    """What is no JWT is invalid, whatever it is."""
    with pytest.raises(OAuthError) as refusal:
        await service.register(software_statement=text)

    assert refusal.value.code == INVALID


async def test_forgeries(service: RegisteringService, publisher: ForeignIssuer) -> None:
    """Unsigned, signed by the public key, changed after the signature."""
    for forged in (publisher.unsigned(), publisher.keyed_hash(), publisher.tampered(scope="mcp")):
        with pytest.raises(OAuthError) as refusal:
            await service.register(software_statement=forged)
        assert refusal.value.code == INVALID


async def test_a_publisher_that_is_away(
    service: RegisteringService, publisher: ForeignIssuer
) -> None:
    """Neither believed nor refused: try again."""
    publisher.provider.away = {"/jwks"}
    with pytest.raises(IssuerAway):
        await service.register(software_statement=statement(publisher))


async def test_an_update_needs_the_publisher_again(
    service: RegisteringService, publisher: ForeignIssuer
) -> None:
    """Or whoever holds the client would put addresses of its own under the publisher's name."""
    signed = statement(publisher, redirect_uris=[CALLBACK])
    registered = await service.register(software_statement=signed)
    with pytest.raises(OAuthError) as refusal:
        await service.update(registered, redirect_uris=["https://evil.example/"])
    await service.update(
        registered, redirect_uris=["https://evil.example/"], software_statement=signed
    )
    plain = await service.register(scope="openid")
    with pytest.raises(OAuthError) as taken_up:
        await service.update(plain, software_statement=signed)

    assert refusal.value.code == INVALID
    assert service.now(registered).redirects.redirect_uris == (CALLBACK,)
    assert taken_up.value.code == INVALID


@pytest.mark.parametrize(
    "terms",
    [
        {},
        {"jwks": ({"kty": "EC"},), "jwks_uri": "https://p.example/jwks"},
        {"jwks_uri": "http://p.example/jwks"},
        {"jwks_uri": "https://p.example/jwks", "algorithms": ("none",)},
        {"jwks_uri": "https://p.example/jwks", "algorithms": ("HS256",)},
        {"jwks_uri": "https://p.example/jwks", "algorithms": ()},
        {"jwks_uri": "https://p.example/jwks", "unknown": 1},
    ],
)
def test_publishers_that_are_refused(terms: dict[str, Any]) -> None:
    """Keys in one place, no shared ones."""
    with pytest.raises(ValueError, match="validation error"):
        Publisher(issuer="https://p.example", **terms)


def test_the_file_of_the_settings(tmp_path: Path) -> None:
    """A list of publishers; what is no such list is said with the name of the setting."""
    path = tmp_path / "publishers.json"
    path.write_text('[{"issuer": "https://p.example", "jwks_uri": "https://p.example/jwks"}]')
    settings = load_settings(software_publishers_file=path)

    assert [one.issuer for one in settings.software_publishers()] == ["https://p.example"]
    assert load_settings().software_publishers() == ()
    for content in ("{}", "[{}]", '[{"issuer": "https://p.example"}]', "x"):
        path.write_text(content)
        with pytest.raises(SettingsError, match="GRANTLEDGER_SOFTWARE_PUBLISHERS_FILE: "):
            settings.software_publishers()
    path.unlink()
    with pytest.raises(SettingsError, match="GRANTLEDGER_SOFTWARE_PUBLISHERS_FILE: No such file"):
        settings.software_publishers()
