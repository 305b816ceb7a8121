"""tls_client_auth and self_signed_tls_client_auth: what proves a client, and every way to fail."""

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import timedelta
from ipaddress import ip_address
from typing import Any

import pytest
from cryptography import x509
from cryptography.x509.oid import ExtendedKeyUsageOID

from application.administration.clients import require_usable
from application.certificate_authorities import Authorities
from application.certificate_clients import CertificateClients
from application.certificates import ClientCertificate, confirmed_by_certificate
from application.client_authentication import (
    AuthenticatedClient,
    PresentedCredentials,
    authenticate,
)
from application.client_keys import ClientKeys
from application.errors import InvalidClient, InvalidRequest
from application.outbound import Outbound
from application.secret_keys import PresentedSecret
from domain.client import Client
from domain.client_configuration import Authentication
from tests.application.client_certificates import SERVER_AUTH, Authority, Credential, self_signed
from tests.application.foreign_issuer import foreign_issuer
from tests.application.service import FakeService
from tests.builders import AT_NOON, NOON, a_client

DN = "CN=agent,O=Example,C=DE"
NAMES = (
    x509.DNSName("agent.example"),
    x509.UniformResourceIdentifier("spiffe://example/agent"),
    x509.IPAddress(ip_address("2001:db8::1")),
    x509.RFC822Name("Agent@example.org"),
)
AUTHORITY = Authority("clients", now=NOON)
BELOW = Authority("below", now=NOON, above=AUTHORITY)
STRANGERS = Authority("clients", now=NOON)
OWN = self_signed(now=NOON)
SECOND = timedelta(seconds=1)


@dataclass
class Scene:
    """A client "agent", not registered yet; AUTHORITY alone is trusted."""

    service: FakeService
    authorities: Authorities | None = field(
        default_factory=lambda: Authorities([AUTHORITY.certificate])
    )

    def by_name(self, kind: str, value: str) -> None:
        """Register the client by the name in its certificate."""
        self.register(method="tls_client_auth", certificate={"kind": kind, "value": value})

    def by_own(self, *credentials: Credential) -> None:
        """Register the client by certificates of its own."""
        keys = [one.jwk(f"key-{number}") for number, one in enumerate(credentials)]
        self.register(method="self_signed_tls_client_auth", jwks=keys)

    def register(self, **authentication: Any) -> None:
        """Register the client."""
        checked = Authentication.model_validate(authentication)
        self.service.log.record(a_client(client_id="agent", authentication=checked))

    def disable(self) -> None:
        """Disable the client."""
        client = self.service.log.folded(Client.stream("agent"))
        client.disable(AT_NOON)
        self.service.log.record(client)

    async def prove(self, credential: Credential | None) -> AuthenticatedClient:
        """Come with a certificate."""
        outbound = Outbound()
        clients = CertificateClients(
            self.service.directory, ClientKeys(outbound, outbound), self.authorities
        )
        presented = PresentedCredentials("agent", None, "none")
        assert clients.concerned(presented)
        certificate = credential.presented() if credential else None
        return await clients.authenticate(presented, certificate, NOON)


@pytest.fixture
def at(service: FakeService) -> Scene:
    """A scene at noon."""
    return Scene(service)


@pytest.mark.parametrize(
    ("kind", "value"),
    [
        ("subject_dn", DN),
        ("san_dns", "AGENT.example"),
        ("san_uri", "spiffe://example/agent"),
        ("san_ip", "2001:0db8:0::1"),
        ("san_email", "Agent@EXAMPLE.org"),
    ],
)
async def test_a_name_that_an_authority_vouches_for(at: Scene, kind: str, value: str) -> None:
    """Each kind of name, compared as what it means; the record will name the thumbprint."""
    at.by_name(kind, value)
    credential = AUTHORITY.sign(names=NAMES)
    caller = await at.prove(credential)

    assert (caller.client.client_id, caller.method) == ("agent", "tls_client_auth")
    assert caller.credential_id == credential.thumbprint


@pytest.mark.parametrize(
    "credential",
    [
        AUTHORITY.sign(),
        AUTHORITY.sign(usage=None),
        AUTHORITY.sign(begins=NOON),
        AUTHORITY.sign(ends=NOON),
        BELOW.sign().with_chain(BELOW.certificate),
    ],
    ids=["plain", "for any use", "from now", "until now", "by an authority in between"],
)
async def test_certificates_that_count(at: Scene, credential: Credential) -> None:
    """Without alternative names, or a use; to the second; with the chain beside it."""
    at.by_name("subject_dn", DN)

    assert (await at.prove(credential)).client.client_id == "agent"


async def test_a_certificate_of_its_own(at: Scene) -> None:
    """Any of those registered, whoever signed it: it is known to the byte."""
    signed = STRANGERS.sign()
    at.by_own(OWN, signed)
    callers = [await at.prove(OWN), await at.prove(signed)]

    assert {caller.method for caller in callers} == {"self_signed_tls_client_auth"}
    assert [caller.credential_id for caller in callers] == [OWN.thumbprint, signed.thumbprint]


async def test_certificates_may_be_published(at: Scene) -> None:
    """At a URL of the client; a new one is found, for a stranger's is asked once a minute."""
    with foreign_issuer() as issuer:
        issuer.provider.keys.append(OWN.jwk())
        at.register(method="self_signed_tls_client_auth", jwks_uri=f"{issuer.name}/jwks")
        caller = await at.prove(OWN)
        with pytest.raises(InvalidClient) as refusal:
            await at.prove(self_signed(now=NOON))
        issuer.provider.away = {"/jwks"}
        with pytest.raises(InvalidClient) as away:
            await at.prove(OWN)

    assert caller.credential_id == OWN.thumbprint
    assert refusal.value.reason == "client certificate: not one of the client's"
    assert "keys" in away.value.reason


@dataclass(frozen=True)
class Refusal:
    """What is wrong, with what the client comes, how it is registered, and the recorded cause."""

    description: str
    credential: Credential | None
    reason: str
    setup: Callable[[Scene], object] = field(default=lambda at: at.by_name("subject_dn", DN))


def named(kind: str, value: str) -> Callable[[Scene], object]:
    """Return how the client is registered."""
    return lambda at: at.by_name(kind, value)


def own(*credentials: Credential) -> Callable[[Scene], object]:
    """Return the same, by certificates of its own."""
    return lambda at: at.by_own(*credentials)


def _without_authorities(at: Scene) -> None:
    at.by_name("subject_dn", DN)
    at.authorities = None


def _disabled(at: Scene) -> None:
    at.by_name("subject_dn", DN)
    at.disable()


NAME = "client certificate: another name"
UNTRUSTED = "client certificate: no trusted authority signed it, or not like this"
NOT_OWN = "client certificate: not one of the client's"
FULL = AUTHORITY.sign(names=NAMES)
REFUSALS = [
    Refusal("none", None, "no client certificate"),
    Refusal("none of its own", None, "no client certificate", own(OWN)),
    Refusal("another subject", AUTHORITY.sign("CN=other,O=Example,C=DE"), NAME),
    Refusal("a part of the subject", AUTHORITY.sign("CN=agent"), NAME),
    Refusal("another order", AUTHORITY.sign("O=Example,CN=agent,C=DE"), NAME),
    Refusal("prints alike", AUTHORITY.sign("CN=agent\\,O\\=Example,C=DE"), NAME),
    Refusal("another host", FULL, NAME, named("san_dns", "other.example")),
    Refusal("a host above", FULL, NAME, named("san_dns", "example")),
    Refusal(
        "a wildcard",
        AUTHORITY.sign(names=[x509.DNSName("*.example")]),
        NAME,
        named("san_dns", "agent.example"),
    ),
    Refusal("host in the subject alone", AUTHORITY.sign(), NAME, named("san_dns", "agent")),
    Refusal("another URI", FULL, NAME, named("san_uri", "spiffe://example/Agent")),
    Refusal("another address", FULL, NAME, named("san_ip", "2001:db8::2")),
    Refusal("another mailbox", FULL, NAME, named("san_email", "agent@example.org")),
    Refusal("a name of another kind", FULL, NAME, named("san_uri", "agent.example")),
    Refusal("expired", AUTHORITY.sign(ends=NOON - SECOND), "client certificate: expired"),
    Refusal(
        "not yet valid",
        AUTHORITY.sign(begins=NOON + SECOND),
        "client certificate: not valid yet",
    ),
    Refusal("another authority of that name", STRANGERS.sign(), UNTRUSTED),
    Refusal("signed by nobody", self_signed(DN, now=NOON), UNTRUSTED),
    Refusal("authority in between missing", BELOW.sign(), UNTRUSTED),
    Refusal(
        "it brings its own authority",
        STRANGERS.sign().with_chain(STRANGERS.certificate),
        UNTRUSTED,
    ),
    Refusal(
        "signed by a client",
        Credential(FULL.certificate, FULL.key).with_chain(OWN.certificate),
        NAME,
        named("san_dns", "other"),
    ),
    Refusal(
        "for servers",
        AUTHORITY.sign(usage=[SERVER_AUTH]),
        "client certificate: not for the authentication of clients",
    ),
    Refusal(
        "for mail",
        AUTHORITY.sign(usage=[ExtendedKeyUsageOID.EMAIL_PROTECTION]),
        "client certificate: not for the authentication of clients",
    ),
    Refusal(
        "no authority is trusted",
        AUTHORITY.sign(),
        "client certificate: no authority is configured",
        _without_authorities,
    ),
    Refusal("another certificate", self_signed(now=NOON), NOT_OWN, own(OWN)),
    Refusal("its key in another one", self_signed(now=NOON, key=OWN.key), NOT_OWN, own(OWN)),
    Refusal("an authority's instead of its own", AUTHORITY.sign(), NOT_OWN, own(OWN)),
    Refusal(
        "its own, expired",
        (OLD := self_signed(now=NOON, ends=NOON - SECOND)),
        "client certificate: expired",
        own(OLD),
    ),
    Refusal("disabled", AUTHORITY.sign(), "client disabled", _disabled),
]


@pytest.mark.parametrize("refusal", REFUSALS, ids=lambda refusal: refusal.description)
async def test_refusals(at: Scene, refusal: Refusal) -> None:
    """One text for all; the record has the cause, and nothing of the certificate."""
    refusal.setup(at)
    with pytest.raises(InvalidClient) as raised:
        await at.prove(refusal.credential)

    assert raised.value.reason == refusal.reason
    assert raised.value.description == InvalidClient(reason="").description


async def test_a_leaf_cannot_sign(at: Scene) -> None:
    """A client with a certificate is no authority."""
    leaf = Authority("leaf", now=NOON)
    leaf.key, leaf.name = FULL.key, FULL.certificate.subject
    at.by_name("subject_dn", DN)
    with pytest.raises(InvalidClient) as raised:
        await at.prove(leaf.sign().with_chain(FULL.certificate))

    assert raised.value.reason == UNTRUSTED


@pytest.mark.parametrize(
    "presented",
    [
        PresentedCredentials("agent", PresentedSecret("gls_guess"), "client_secret_basic"),
        PresentedCredentials("agent", PresentedSecret("gls_guess"), "client_secret_post"),
    ],
)
async def test_a_secret_beside_it(at: Scene, presented: PresentedCredentials) -> None:
    """A client of certificates that sends a secret is refused, whatever the connection has."""
    at.by_name("subject_dn", DN)
    keys = ClientKeys(Outbound())
    concerned = CertificateClients(at.service.directory, keys, at.authorities).concerned(presented)
    with pytest.raises(InvalidClient) as raised:
        authenticate(
            presented, directory=at.service.directory, peppers=at.service.peppers, now=NOON
        )

    assert not concerned
    assert raised.value.reason == "not the client's authentication method"


@pytest.mark.parametrize("registered", [None, "client_secret_basic"])
async def test_a_certificate_alone_asks_for_nothing(at: Scene, registered: str | None) -> None:
    """A client of another method, or none that is known, is not concerned by it."""
    if registered:
        at.register(method=registered)
    clients = CertificateClients(at.service.directory, ClientKeys(Outbound()), at.authorities)
    presented = PresentedCredentials("agent", None, "none")

    assert not clients.concerned(presented)
    with pytest.raises(InvalidClient):
        await clients.authenticate(presented, AUTHORITY.sign().presented(), NOON)


UNUSABLE: list[dict[str, Any]] = [
    {"method": "tls_client_auth", "certificate": {"kind": "subject_dn", "value": "agent"}},
    {"method": "tls_client_auth", "certificate": {"kind": "subject_dn", "value": "CN=a, O=b"}},
    {"method": "tls_client_auth", "certificate": {"kind": "san_ip", "value": "agent.example"}},
    {"method": "tls_client_auth", "certificate": {"kind": "san_email", "value": "agent"}},
    {"method": "self_signed_tls_client_auth", "jwks": [{**OWN.jwk(), "x5c": ["AAAA"]}]},
    {"method": "self_signed_tls_client_auth", "jwks": [{**OWN.jwk(), "x5c": ["?"]}]},
    {"method": "self_signed_tls_client_auth", "jwks": [{**OWN.jwk(), "x5c": "AAAA"}]},
    {
        "method": "self_signed_tls_client_auth",
        "jwks": [{**OWN.jwk(), "x5c": self_signed(now=NOON).jwk()["x5c"]}],
    },
]


@pytest.mark.parametrize("facts", UNUSABLE)
def test_what_cannot_be_registered(facts: dict[str, Any]) -> None:
    """A name that no certificate carries, a certificate that is none, or of another key."""
    with pytest.raises(InvalidRequest):
        require_usable(Authentication.model_validate(facts))


def test_a_certificate_is_registered_with_its_key() -> None:
    """A key without a certificate could prove nothing."""
    key = {name: value for name, value in OWN.jwk().items() if name != "x5c"}
    with pytest.raises(ValueError, match="x5c"):
        Authentication.model_validate({"method": "self_signed_tls_client_auth", "jwks": [key]})
    require_usable(
        Authentication.model_validate(
            {"method": "self_signed_tls_client_auth", "jwks": [OWN.jwk()]}
        )
    )


@pytest.mark.parametrize(
    ("claims", "certificate", "expected"),
    [
        ({"cnf": {"x5t#S256": OWN.thumbprint}}, OWN.presented(), True),
        ({"cnf": {"x5t#S256": OWN.thumbprint}}, FULL.presented(), False),
        ({"cnf": {"x5t#S256": OWN.thumbprint}}, None, False),
        ({"cnf": {"jkt": OWN.thumbprint}}, OWN.presented(), False),
        ({"cnf": {"x5t#S256": OWN.thumbprint, "jkt": OWN.thumbprint}}, OWN.presented(), False),
        ({"cnf": OWN.thumbprint}, OWN.presented(), False),
        ({}, OWN.presented(), False),
    ],
)
def test_a_token_is_confirmed_by_its_certificate(
    claims: dict[str, object], certificate: ClientCertificate | None, expected: bool
) -> None:
    """By that one alone, and only where it says so."""
    assert confirmed_by_certificate(claims, certificate) is expected


def test_a_certificate_shows_nothing_of_itself() -> None:
    """What is logged of one is its thumbprint."""
    assert repr(OWN.presented()) == f"ClientCertificate(thumbprint='{OWN.thumbprint}')"
