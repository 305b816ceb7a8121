"""One event of every class, made of fixed values by the domain's own commands."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

from domain.access_token import AccessToken
from domain.client import Client
from domain.client_configuration import Audiences, ClientConfiguration, TokenPolicy
from domain.client_usage import ClientUsage
from domain.denial_log import Denial, DenialLog
from domain.issuance import DeploymentPolicy, IssueRequest, SigningChoice
from domain.permissions import Catalogue, Permission, Tier
from domain.principal import Principal
from domain.provenance import Origin, Provenance
from domain.signing_key import SigningKey

# Nothing here comes from tests/builders.py or from defaults that may change: golden files do not.
MOMENT = datetime(2026, 3, 3, 12, 0, 0, 250_000, tzinfo=UTC)
PROVENANCE = Provenance(
    MOMENT,
    "req_0af7651916cd43dd8448eb21",
    traceparent="00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
    by="operator-1",
    why='ticket 7: "né"',
)
CATALOGUE = Catalogue(
    permissions=(
        Permission(name="user", level=50, tier=Tier.USER),
        Permission(name="mcp", level=20, tier=Tier.SERVICE),
        Permission(name="a2a", level=30, tier=Tier.SERVICE),
        Permission(name="admin", level=100, tier=Tier.USER),
    ),
    roles={"user": ("user",), "admin": ("user", "admin")},
)
POLICY = DeploymentPolicy(
    catalogue=CATALOGUE,
    lifetime=3600,
    default_audience=("https://api.example",),
    subject_is_owner=True,
)
FINGERPRINT = "8d92d899ae4a3697"
TOKEN_ID = UUID("019cb391-c2fa-7bd5-9a71-cb94b598a865")
USAGE_ID = UUID("019cb391-c2fa-7f00-8a71-cb94b598a865")
DENIALS_ID = UUID("019cb391-c2fa-7a11-ba71-cb94b598a865")


def _client(**configuration: Any) -> Client:
    facts = {
        "client_id": "reporter",
        "name": "Réporter",
        "grant_types": ("client_credentials",),
        "scopes": ("mcp", "user", "admin"),
        "audiences": Audiences(
            allowed=("https://api.example", "hook"),
            default=("hook",),
            serves=("https://rs.example",),
        ),
        "owner": "owner-1",
        "tokens": TokenPolicy(lifetime=600, signing_algorithm="EdDSA", plugin_id="plugin-1"),
        **configuration,
    }
    return Client.register(ClientConfiguration(**facts), catalogue=CATALOGUE, provenance=PROVENANCE)


def _client_events() -> list[Any]:
    client = _client()
    client.add_secret(
        secret_id="secret-1", pepper_id="pepper-1", verifier="0" * 64, provenance=PROVENANCE
    )
    client.rotate_secret(
        secret_id="secret-2",
        pepper_id="pepper-1",
        verifier="1" * 64,
        overlap=timedelta(hours=24),
        provenance=PROVENANCE,
    )
    client.set_scopes(("mcp",), catalogue=CATALOGUE, provenance=PROVENANCE)
    client.set_grant_types((), provenance=PROVENANCE)
    client.set_audiences(Audiences(allowed=("hook",)), provenance=PROVENANCE)
    client.set_owner(None, provenance=PROVENANCE)
    client.set_token_policy(TokenPolicy(), provenance=PROVENANCE)
    client.disable(PROVENANCE)
    client.enable(PROVENANCE)
    return [*client.facts(), *_client(owner=None, tokens=TokenPolicy()).facts()]


def _principal() -> Principal:
    return Principal.register("owner-1", ("user",), catalogue=CATALOGUE, provenance=PROVENANCE)


def _principal_events() -> list[Any]:
    principal = _principal()
    principal.assign_roles(("user", "admin"), catalogue=CATALOGUE, provenance=PROVENANCE)
    principal.deactivate(PROVENANCE)
    principal.reactivate(PROVENANCE)
    return list(principal.facts())


def _key_events() -> list[Any]:
    key = SigningKey.generate(
        kid="Zm9vYmFy",
        algorithm="ES256",
        public_jwk={"kty": "EC", "crv": "P-256", "x": "eHg", "y": "eXk"},
        provenance=PROVENANCE,
    )
    key.activate(PROVENANCE)
    key.retire(verify_until=MOMENT + timedelta(hours=25), provenance=PROVENANCE)
    return list(key.facts())


def _token(
    client: Client, *, scope: tuple[str, ...] | None, owner: Principal | None
) -> AccessToken:
    return client.issue_token(
        IssueRequest(
            token_id=TOKEN_ID,
            session_id="sess_0af7651916cd43dd8448eb211c80319c",
            scope=scope,
            audience=(),
            authentication_method="client_secret_basic",
            credential_id="secret-1",
            origin=Origin(address="address-hash", user_agent="agent-hash"),
        ),
        grant_type="client_credentials",
        owner=owner,
        policy=POLICY,
        signing=SigningChoice(kid="Zm9vYmFy", algorithm="ES256"),
        provenance=PROVENANCE,
    )


def _token_events() -> list[Any]:
    token = _token(_client(), scope=("a2a", "admin", "user"), owner=_principal())
    token.revoke(by="reporter", reason="client request", provenance=PROVENANCE)
    alone = _token(_client(owner=None, tokens=TokenPolicy()), scope=None, owner=None)
    events: list[Any] = [*token.facts(), *alone.facts()]
    # The fingerprint of a catalogue is a value here: how it is made up may change.
    return [
        replace(event, policy=FINGERPRINT) if "policy" in vars(event) else event for event in events
    ]


def _usage_events() -> list[Any]:
    usage = ClientUsage.start(
        USAGE_ID, client_id="reporter", process="p-1", day="2026-03-03", provenance=PROVENANCE
    )
    usage.used(last_at=MOMENT, by_endpoint={"token": 40, "introspect": 2}, provenance=PROVENANCE)
    return list(usage.facts())


def _denial_events() -> list[Any]:
    log = DenialLog.start(DENIALS_ID, process="p-1", hour="2026-03-03T12", provenance=PROVENANCE)
    denial = Denial(
        client_id="reporter",
        endpoint="token",
        grant_type="client_credentials",
        error="invalid_client",
        reason="wrong secret",
        address="address-hash",
    )
    log.deny(
        denial,
        count=10_000,
        first_at=MOMENT,
        last_at=MOMENT + timedelta(seconds=1),
        provenance=PROVENANCE,
    )
    return list(log.facts())


def examples() -> dict[str, Any]:
    """Return the events by the names of their golden files.

    The name is topic and version; a second event of a class, which differs in what is absent, has
    `-sparse` behind it.
    """
    found: dict[str, Any] = {}
    for event in (
        *_client_events(),
        *_principal_events(),
        *_key_events(),
        *_token_events(),
        *_usage_events(),
        *_denial_events(),
    ):
        name = f"{event.TOPIC}.v{getattr(event, 'class_version', 1)}"
        while name in found:
            name += "-sparse"
        found[name] = event
    # The second secret of the rotation says nothing that the first does not.
    del found["client.secret_added.v1-sparse"]
    return found
