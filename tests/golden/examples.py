"""One event of every class, made of fixed values by the domain's own commands."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

from domain.access_token import AccessToken
from domain.audit_export import AuditExport
from domain.audit_reading import AuditReading, Reading
from domain.authorization_code import AuthorizationCode, CodeTerms
from domain.client import Client
from domain.client_configuration import (
    Audiences,
    Authentication,
    ClientConfiguration,
    Delegation,
    Redirects,
    RefreshPolicy,
    Registration,
    TokenPolicy,
)
from domain.client_usage import ClientUsage
from domain.confirmation import Confirmation
from domain.consents import Consents
from domain.denial_log import Denial, DenialLog
from domain.descent import Actor, Descent, Vouched
from domain.device_authorization import Approval, DeviceAuthorization
from domain.forgery_log import Forgery, ForgeryLog, Presentation
from domain.initial_access import InitialAccess, KeptVerifier
from domain.issuance import DeploymentPolicy, IssueRequest, Narrowing, SigningChoice
from domain.issuing_client import Authority
from domain.log_continuity import FollowedLog, LogContinuity, LogLoss
from domain.permissions import Catalogue, Permission, Tier
from domain.principal import Principal
from domain.provenance import Origin, Provenance
from domain.refresh_token_family import FamilyTerms, IssuedToken, RefreshTokenFamily
from domain.retention import Retention
from domain.session import Authorized, Session
from domain.signing_key import SigningKey
from domain.trusted_issuer import IssuerTerms, TrustedIssuer

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
SESSION_ID = UUID("019cb391-c2fa-7aaa-8a71-cb94b598a865")
FAMILY_ID = UUID("019cb391-c2fa-7bbb-8a71-cb94b598a865")
CODE_ID = UUID("019cb391-c2fa-7ccc-8a71-cb94b598a865")
DEVICE_ID = UUID("019cb391-c2fa-7ddd-8a71-cb94b598a865")
ORIGIN = Origin(address="address-hash", user_agent="agent-hash")
HOUR_LATER = MOMENT + timedelta(hours=1)
SCOPE = Narrowing(("user", "mcp"), ("a2a",), ("admin",))
DENIALS_ID = UUID("019cb391-c2fa-7a11-ba71-cb94b598a865")
EXPORT_ID = UUID("019cb391-c2fa-7a22-ba71-cb94b598a865")
READING_ID = UUID("019cb391-c2fa-7a33-ba71-cb94b598a865")
FORGERIES_ID = UUID("019cb391-c2fa-7a44-ba71-cb94b598a865")


CONFIRMATION = Confirmation("jkt", "0ZcOCORZNYy-DWpqq30jZyJGHTN0d2HglBV3uiguA4I")
DETAILS: tuple[dict[str, Any], ...] = (
    {"type": "payment_initiation", "actions": ["initiate"], "amount": {"value": 12.5}},
)


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
        "tokens": TokenPolicy(
            lifetime=600,
            signing_algorithm="EdDSA",
            plugin_id="plugin-1",
            dpop_bound=True,
        ),
        "redirects": Redirects(
            redirect_uris=("https://client.example/callback",),
            post_logout_redirect_uris=("https://client.example/bye",),
            require_pushed_authorization_requests=True,
        ),
        "refresh": RefreshPolicy(
            without_openid=False, lifetime=86_400, idle_lifetime=3600, grace=5
        ),
        "delegation": Delegation(may_act=("agent-1",), impersonation=True),
        "authentication": Authentication(method="client_secret_post"),
        "registration": Registration(
            source="dynamic",
            initial_access_id="access-1",
            publisher="https://publisher.example",
            document="0" * 64,
            software_id="4NRB1-0XZABZI9E6-5SM3R",
            software_version="2.1",
            client_uri="https://client.example/",
            logo_uri="https://client.example/logo.png",
            tos_uri="https://client.example/terms",
            policy_uri="https://client.example/privacy",
        ),
        "authorization_details_types": ("payment_initiation",),
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
    client.set_redirects(Redirects(), provenance=PROVENANCE)
    client.set_refresh_policy(RefreshPolicy(), provenance=PROVENANCE)
    client.set_delegation(Delegation(may_act=()), provenance=PROVENANCE)
    key = {"kty": "EC", "crv": "P-256", "x": "eHg", "y": "eXk", "kid": "key-1"}
    client.set_authentication(
        Authentication(method="private_key_jwt", jwks=(key,)), provenance=PROVENANCE
    )
    client.set_authorization_details_types((), provenance=PROVENANCE)
    client.rename("Répertoire", provenance=PROVENANCE)
    client.set_registration(
        Registration(source="dynamic", software_id="4NRB1"), provenance=PROVENANCE
    )
    client.set_registration_token(KeptVerifier("pepper-1", "2" * 64), provenance=PROVENANCE)
    client.disable(PROVENANCE)
    client.enable(PROVENANCE)
    sparse = _client(
        owner=None,
        tokens=TokenPolicy(),
        redirects=Redirects(),
        refresh=RefreshPolicy(),
        delegation=Delegation(),
        authentication=Authentication(),
        registration=Registration(),
        authorization_details_types=(),
    )
    return [*client.facts(), *sparse.facts()]


def _principal() -> Principal:
    return Principal.register("owner-1", ("user",), catalogue=CATALOGUE, provenance=PROVENANCE)


def _principal_events() -> list[Any]:
    principal = _principal()
    principal.assign_roles(("user", "admin"), catalogue=CATALOGUE, provenance=PROVENANCE)
    principal.deactivate(PROVENANCE)
    principal.reactivate(PROVENANCE)
    principal.password_set(PROVENANCE)
    principal.passkey_added("1f" * 16, PROVENANCE)
    principal.passkey_removed("1f" * 16, PROVENANCE)
    principal.identity_linked("https://id.example", PROVENANCE)
    return list(principal.facts())


def _issuer_events() -> list[Any]:
    terms = IssuerTerms(
        issuer="https://id.example",
        jwks_uri="https://id.example/jwks",
        audience=("https://auth.example",),
        algorithms=("ES256",),
        subject_claim="email",
        subject_prefix="id-",
        create_principals=True,
        roles=("user",),
        scopes=("user", "mcp"),
        default_scopes=("mcp",),
    )
    issuer = TrustedIssuer.add(terms, catalogue=CATALOGUE, provenance=PROVENANCE)
    plain = IssuerTerms(issuer="https://id.example", algorithms=("ES256",))
    issuer.replace_terms(plain, catalogue=CATALOGUE, provenance=PROVENANCE)
    issuer.remove(PROVENANCE)
    return list(issuer.facts())


def _initial_access_events() -> list[Any]:
    access = InitialAccess.issue(
        "access-1",
        KeptVerifier("pepper-1", "3" * 64),
        expires_at=HOUR_LATER,
        max_uses=2,
        provenance=PROVENANCE,
    )
    access.use("reporter", PROVENANCE)
    access.revoke(PROVENANCE)
    return list(access.facts())


def _key_events() -> list[Any]:
    key = SigningKey.generate(
        kid="Zm9vYmFy",
        algorithm="ES256",
        public_jwk={"kty": "EC", "crv": "P-256", "x": "eHg", "y": "eXk"},
        provenance=PROVENANCE,
    )
    key.activate(PROVENANCE)
    key.retire(verify_until=MOMENT + timedelta(hours=25), provenance=PROVENANCE)
    key.rewrap(master_key_id="master-2", provenance=PROVENANCE)
    key.revoke(PROVENANCE)
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
            confirmation=CONFIRMATION if owner else None,
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
    issued: Any = _person_token().issued
    exchanged = replace(
        issued,
        descent=Descent(
            lineage=("019cb391-c2fa-7ccc-8a71-cb94b598a865",),
            actors=(Actor("agent-1"), Actor("agent-0", "https://id.example")),
            of_subject=("user", "mcp"),
            of_client=("admin", "user", "mcp"),
            of_person=("user",),
            withheld=("mcp",),
            vouched=Vouched("https://id.example", "jti-0", 3),
            impersonation=True,
            resource=("https://mcp.example",),
        ),
        may_act=("agent-2",),
        form="id_jag",
        confirmation=CONFIRMATION,
        authorization_details=DETAILS,
        payload_sha256="47DEQpj8HBSa-_TImW-5JCeuQeRkm5NMpJWZG3hSuFU",
        id_payload_sha256="n4bQgYhMfWWaL-qgxVrQFaO_TxsrC4Is0V1sFbDwCgg",
    )
    events: list[Any] = [exchanged, *token.facts()[1:], *alone.facts()]
    # The fingerprint of a catalogue is a value here: how it is made up may change.
    return [
        replace(event, policy=FINGERPRINT) if "policy" in vars(event) else event for event in events
    ]


def _person_token() -> AccessToken:
    client = _client(grant_types=("authorization_code", "refresh_token"))
    return client.issue_token_for_person(
        IssueRequest(
            token_id=TOKEN_ID,
            session_id=Session.name_of(SESSION_ID),
            scope=None,
            audience=(),
            authentication_method="client_secret_basic",
            credential_id="secret-1",
            origin=ORIGIN,
            confirmation=CONFIRMATION,
        ),
        Authority(("a2a", "admin", "user"), ("user", "admin"), (), MOMENT),
        grant_type="refresh_token",
        person=_principal(),
        family_id=FAMILY_ID,
        policy=POLICY,
        signing=SigningChoice(kid="Zm9vYmFy", algorithm="ES256"),
        provenance=PROVENANCE,
    )


def _session_events() -> list[Any]:
    session = Session.start(
        SESSION_ID,
        subject="owner-1",
        methods=("pwd",),
        lifetime=timedelta(hours=12),
        origin=ORIGIN,
        provenance=PROVENANCE,
        subject_version=3,
        pepper_id="pepper-1",
    )
    session.authenticate_again(
        methods=("fed",),
        lifetime=timedelta(hours=12),
        provenance=PROVENANCE,
        authenticated_at=MOMENT - timedelta(hours=8),
        pepper_id="pepper-2",
    )
    for family_id in (str(FAMILY_ID), None):
        session.authorize(Authorized("reporter", family_id, str(TOKEN_ID), HOUR_LATER), PROVENANCE)
    session.end(by="owner-1", reason="logged out", provenance=PROVENANCE)
    return list(session.facts())


def _family() -> RefreshTokenFamily:
    terms = FamilyTerms(
        client_id="reporter",
        subject="owner-1",
        session_id=Session.name_of(SESSION_ID),
        scope=("user", "mcp"),
        audience=("https://api.example",),
        authenticated_at=MOMENT,
        lifetime=86_400,
        idle_lifetime=3600,
        grace=10,
        confirmation=CONFIRMATION,
        authorization_details=DETAILS,
        subject_version=3,
    )
    token = IssuedToken(str(TOKEN_ID), HOUR_LATER)
    return RefreshTokenFamily.start(
        FAMILY_ID, terms, pepper_id="pepper-1", token=token, provenance=PROVENANCE
    )


def _family_events() -> list[Any]:
    family, token = _family(), IssuedToken(str(TOKEN_ID), HOUR_LATER)
    family.rotate(pepper_id="pepper-2", token=token, provenance=PROVENANCE)
    family.retry(token=token, provenance=PROVENANCE)
    family.detect_reuse(1, origin=ORIGIN, provenance=PROVENANCE)
    other = _family()
    other.revoke(by="owner-1", reason="logged out", provenance=PROVENANCE)
    third = _family()
    third.use(token=token, provenance=PROVENANCE)
    return [*family.facts(), *other.facts()[1:], *third.facts()[1:]]


def _code(*, nonce: str | None) -> AuthorizationCode:
    terms = CodeTerms(
        client_id="reporter",
        subject="owner-1",
        session_id=Session.name_of(SESSION_ID),
        redirect_uri="https://client.example/callback",
        challenge="E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM",
        requested_scope=("a2a", "admin", "user", "mcp"),
        scope=SCOPE,
        resource=("https://api.example",),
        nonce=nonce,
        authenticated_at=MOMENT,
        methods=("pwd",),
        confirmation=CONFIRMATION if nonce else None,
        authorization_details=DETAILS if nonce else (),
    )
    return AuthorizationCode.issue(CODE_ID, terms, provenance=PROVENANCE, pepper_id="pepper-1")


def _code_events() -> list[Any]:
    code, other = _code(nonce="n-0S6_WzA2Mj"), _code(nonce=None)
    code.redeem(jti=str(TOKEN_ID), family_id=str(FAMILY_ID), provenance=PROVENANCE)
    code.replay(address="address-hash", provenance=PROVENANCE)
    other.redeem(jti=str(TOKEN_ID), family_id=None, provenance=PROVENANCE)
    other.replay(address="address-hash", provenance=PROVENANCE)
    return [*code.facts(), *other.facts()]


def _consent_events() -> list[Any]:
    consents = Consents.open("owner-1", provenance=PROVENANCE)
    consents.give(
        "reporter",
        ("user", "mcp"),
        session_id=Session.name_of(SESSION_ID),
        provenance=PROVENANCE,
        resource=("https://api.example",),
        redirect_target="https://client.example/callback",
    )
    consents.give(
        "reporter",
        ("user",),
        session_id=Session.name_of(SESSION_ID),
        provenance=PROVENANCE,
        resource=("https://api.example",),
    )
    consents.withdraw("reporter", provenance=PROVENANCE)
    return list(consents.facts())


def _device() -> DeviceAuthorization:
    return DeviceAuthorization.request(
        DEVICE_ID,
        client_id="reporter",
        scope=("a2a", "admin", "user", "mcp"),
        resource=("https://api.example",),
        lifetime=timedelta(minutes=10),
        origin=ORIGIN,
        provenance=PROVENANCE,
        authorization_details=DETAILS,
        pepper_id="pepper-1",
    )


def _device_events() -> list[Any]:
    device, other = _device(), _device()
    session_id = Session.name_of(SESSION_ID)
    device.approve(Approval("owner-1", session_id, SCOPE, MOMENT, ("pwd",)), PROVENANCE)
    device.redeem(
        session_id=session_id,
        jti=str(TOKEN_ID),
        family_id=str(FAMILY_ID),
        provenance=PROVENANCE,
    )
    other.deny(subject="owner-1", session_id=session_id, provenance=PROVENANCE)
    return [*device.facts(), *other.facts()[1:]]


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


def _export_events() -> list[Any]:
    export = AuditExport.start(
        EXPORT_ID, first_position=1, last_position=1042, rows=1042, provenance=PROVENANCE
    )
    export.finish(
        first_position=1,
        last_position=1042,
        rows=1042,
        files=2,
        manifest_sha256="5e" * 32,
        provenance=PROVENANCE,
    )
    return list(export.facts())


def _retention_events() -> list[Any]:
    fate = Retention.open("ledger_events_2025_02", provenance=PROVENANCE)
    fate.detach(
        rows=1042,
        first_position=7,
        last_position=2001,
        manifest_sha256="5e" * 32,
        dropped=True,
        provenance=PROVENANCE,
    )
    fate.restore(manifest_sha256="5e" * 32, provenance=PROVENANCE)
    return list(fate.facts())


def _loss_events() -> list[Any]:
    loss = LogLoss(
        known_position=2001,
        known_event="5e" * 32,
        resumed_after=1042,
        lost_from=MOMENT,
        lost_until=MOMENT + timedelta(seconds=1),
        known_at=MOMENT,
        previous=FollowedLog("0b4ba5a3-2b4c-4b5a-8c7e-5d1f0c9a7e21", "7714163569884999527", 1),
        present=FollowedLog("0b4ba5a3-2b4c-4b5a-8c7e-5d1f0c9a7e21", "7714163569884999527", 2),
    )
    whole = replace(loss, resumed_after=0, lost_from=None)
    return [
        fact
        for one in (loss, whole)
        for fact in LogContinuity.went_back(
            one, number=0, found_by="p-1", provenance=PROVENANCE
        ).facts()
    ]


def _reading_events() -> list[Any]:
    stream = AuditReading.start(READING_ID, process="p-1", day="2026-03-03", provenance=PROVENANCE)
    stream.read(
        Reading(by="auditor-1 through console", via="http", what="events"),
        parameters=("client_id=reporter", "topic=grant.denied"),
        count=3,
        first_at=MOMENT,
        last_at=MOMENT + timedelta(seconds=1),
        provenance=PROVENANCE,
    )
    return list(stream.facts())


def _forgery_events() -> list[Any]:
    stream = ForgeryLog.start(FORGERIES_ID, process="p-1", day="2026-03-03", provenance=PROVENANCE)
    stream.present(
        Forgery("Zm9vYmFy", ("exp", "scope")),
        Presentation("introspect", "reporter", "address-hash", str(TOKEN_ID)),
        jtis=(str(CODE_ID), str(TOKEN_ID)),
        count=3,
        first_at=MOMENT,
        last_at=MOMENT + timedelta(seconds=1),
        provenance=PROVENANCE,
    )
    stream.present(
        Forgery("Zm9vYmFy", ("not recorded",)),
        Presentation("admin", "", "", None),
        jtis=(),
        count=1,
        first_at=MOMENT,
        last_at=MOMENT,
        provenance=PROVENANCE,
    )
    return list(stream.facts())


def examples() -> dict[str, Any]:
    """Return the events by the names of their golden files.

    The name is topic and version; a second event of a class, which differs in what is absent, has
    `-sparse` behind it.
    """
    found: dict[str, Any] = {}
    for event in (
        *_client_events(),
        *_principal_events(),
        *_issuer_events(),
        *_initial_access_events(),
        *_key_events(),
        *_token_events(),
        *_session_events(),
        *_family_events(),
        *_code_events(),
        *_consent_events(),
        *_device_events(),
        *_usage_events(),
        *_denial_events(),
        *_export_events(),
        *_retention_events(),
        *_reading_events(),
        *_loss_events(),
        *_forgery_events(),
    ):
        name = f"{event.TOPIC}.v{getattr(event, 'class_version', 1)}"
        while name in found:
            name += "-sparse"
        found[name] = event
    # The second secret of the rotation says nothing that the first does not.
    del found["client.secret_added.v1-sparse"]
    # Nor do the two that end with the change to keys.
    del found["client.secret_retired.v1-sparse"], found["client.secret_retired.v1-sparse-sparse"]
    return found
