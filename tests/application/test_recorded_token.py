"""A copy of a signing key opens nothing online: what was not recorded so is refused, and noted."""

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import Any
from uuid import UUID

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric.types import PrivateKeyTypes

from application.errors import UnusableToken
from application.grants import client_credentials, token_exchange
from application.introspection import INACTIVE, introspect
from application.recorded_token import Circumstances, recorded_id_token, verified_id_token
from application.revocation import revoke
from application.subject_tokens import ACCESS_TOKEN_TYPE, ID_TOKEN_TYPE
from application.token_keys import UnverifiableToken, payload_digest
from domain.access_token import ID_JAG, AccessToken
from domain.client import Client
from domain.client_configuration import (
    AUTHORIZATION_CODE,
    TOKEN_EXCHANGE,
    Audiences,
    Authentication,
)
from domain.forgery_log import ForgeryLog
from domain.issuing_client import Authority
from tests.application.key_thief import GONE, KeyThief
from tests.application.service import (
    ISSUER,
    FakeService,
    authenticated,
    context,
    token_keys,
)
from tests.builders import NOON, a_client, a_principal, a_request, stream_id

API = "https://api.example"
IN_2035 = 2_051_222_400
GRANT_TYPES = ("client_credentials", AUTHORIZATION_CODE, TOKEN_EXCHANGE)


@pytest.fixture
def thief(private_keys: Mapping[str, PrivateKeyTypes]) -> KeyThief:
    """An attacker with a copy of the key that signs."""
    return KeyThief(private_keys["ES256"])


def set_up(service: FakeService) -> Client:
    """Record "reporter", which serves the API too, and its owner."""
    client = a_client(
        owner="owner-1",
        grant_types=GRANT_TYPES,
        scopes=("service", "mcp", "user", "openid"),
        audiences=Audiences(allowed=(API, "other"), serves=(API,)),
        redirects={"redirect_uris": ["https://client.example/callback"]},
        authentication=Authentication(),
    )
    service.log.record(a_principal(), a_principal("alice"), client)
    return client


async def a_machine_token(service: FakeService, client: Client) -> str:
    """Return a token that the client was issued at noon."""
    asked = client_credentials.Parameters(("mcp",), (API,))
    given = await client_credentials.handle(asked, authenticated(client), context(), service)
    return given.access_token


def a_persons_tokens(
    service: FakeService, client: Client, *, scope: tuple[str, ...] = ("openid", "user")
) -> tuple[str, str]:
    """Return an access token for alice of noon, and the ID token that came with it."""
    token = client.issue_token_for_person(
        a_request(token_id=stream_id(NOON)),
        Authority(scope, scope, (), NOON),
        grant_type=AUTHORIZATION_CODE,
        person=service.directory.principal("alice"),
        family_id=None,
        policy=service.policy,
        signing=service.minter.choose(None),
        provenance=context().provenance,
    )
    signed = service.minter.mint(token)
    id_token = ""
    if "openid" in scope:
        id_token = service.minter.mint_id_token(token, signed, about={"nonce": "nonce-1"})
    service.log.record(token)
    return signed, id_token


def recorded_before_version_5(service: FakeService, client: Client) -> str:
    """Return a token whose record does not say which bytes were signed for it."""
    token = client.issue_token(
        a_request(),
        grant_type="client_credentials",
        owner=service.directory.principal("owner-1"),
        policy=service.policy,
        signing=service.minter.choose(None),
        provenance=context().provenance,
    )
    service.log.record(token)
    return service.minter.mint(token)


async def noted(service: FakeService) -> list[tuple[str, tuple[str, ...], str | None]]:
    """Return key, difference and `jti` of each forgery that is recorded."""
    await service.forgeries.flush(everything=True)
    return [
        (event.kid, tuple(event.differs), event.jti)
        for event in service.log.of(ForgeryLog.ForgedTokenPresented)
    ]


def payload_of(token: str) -> dict[str, Any]:
    """Return what a token says."""
    claims: dict[str, Any] = jwt.decode(token, options={"verify_signature": False})
    return claims


@dataclass(frozen=True)
class Change:
    """Members that a forger changes, and what is named as different."""

    changes: Mapping[str, Any]
    differs: tuple[str, ...]


CHANGES = (
    Change({"scope": "admin user"}, ("scope",)),
    Change({"exp": IN_2035}, ("exp",)),
    Change({"sub": "alice"}, ("sub",)),
    Change({"aud": [API, "other"]}, ("aud",)),
    Change({"client_id": "administration", "aud": API}, ("client_id",)),
    Change({"sid": "sess_0"}, ("sid",)),
    Change({"iat": 1}, ("iat",)),
    Change({"nbf": GONE}, ("nbf",)),
    Change({"auth_time": 1, "roles": ["admin"]}, ("auth_time", "roles")),
    Change({"act": {"sub": "agent-1"}}, ("act",)),
    Change({"may_act": {"sub": "agent-1"}}, ("may_act",)),
    Change({"cnf": {"jkt": "0" * 43}}, ("cnf",)),
    Change({"plugin_id": "plugin-1"}, ("plugin_id",)),
    Change({"authorization_details": [{"type": "payment"}]}, ("authorization_details",)),
    Change({"s3cret": "p4ssword", "exp": IN_2035}, ("another member", "exp")),
)


@pytest.mark.parametrize("change", CHANGES, ids=lambda change: " ".join(change.changes))
@pytest.mark.parametrize("old", [False, True], ids=["by digest", "by member"])
async def test_a_changed_member_is_refused_and_named(
    service: FakeService, thief: KeyThief, change: Change, old: bool
) -> None:
    """Under a good signature and the `jti` of a real token, no other claim is ever active, whether
    the record names the payload or is older; what differed is recorded, never what it said.
    """
    client = set_up(service)
    make = recorded_before_version_5(service, client) if old else None
    token = make or await a_machine_token(service, client)
    forged = thief.forged(token, **change.changes)

    assert await introspect(forged, authenticated(client), service) == INACTIVE
    assert (await introspect(token, authenticated(client), service))["active"] is True
    assert await noted(service) == [(thief.kid, change.differs, payload_of(token)["jti"])]
    assert "p4ssword" not in str(service.log.events)


async def test_the_answer_has_the_claims_of_the_record(service: FakeService) -> None:
    """What introspection answers is what the record of the token says, member by member."""
    client = set_up(service)
    token = await a_machine_token(service, client)
    record = service.log.folded(UUID(payload_of(token)["jti"]))

    answer = await introspect(token, authenticated(client), service)

    assert answer == {
        "active": True,
        "token_type": "Bearer",
        **service.verifier.recorded_claims(record),
        "salt": payload_of(token)["salt"],
    }


async def test_no_token_is_made_anew_of_its_record(service: FakeService, thief: KeyThief) -> None:
    """A thief of the database and the key, who writes a living token as the record tells it, to the
    byte but for what the record does not tell, has no token, and is noticed.
    """
    client = set_up(service)
    token = await a_machine_token(service, client)
    record = service.log.folded(UUID(payload_of(token)["jti"]))
    claims = service.verifier.recorded_claims(record)
    copies = [thief.signed(claims), thief.signed({**claims, "salt": "A" * 22})]

    assert {name: value for name, value in payload_of(token).items() if name != "salt"} == claims
    for copy in copies:
        assert await introspect(copy, authenticated(client), service) == INACTIVE
    assert (await introspect(token, authenticated(client), service))["active"] is True
    assert {differs for _, differs, _ in await noted(service)} == {("encoding",)}
    assert payload_of(token)["salt"] not in str(service.log.events)


@pytest.mark.parametrize("jti", ["a fresh one", "another stream", "no UUID"])
async def test_a_token_without_a_record_is_the_sign_of_a_leak(
    service: FakeService, thief: KeyThief, jti: str
) -> None:
    """A `jti` that the log does not have, that names something else, or that is none at all."""
    client = set_up(service)
    token = await a_machine_token(service, client)
    names = {"a fresh one": str(stream_id(NOON)), "another stream": str(client.id)}
    name = names.get(jti, "x' OR 1=1")

    assert await introspect(thief.forged(token, jti=name), authenticated(client), service) == dict(
        INACTIVE
    )
    assert await noted(service) == [(thief.kid, ("not recorded",), names.get(jti))]


async def test_another_key_of_ours_does_not_sign_the_same_token(
    private_keys: Mapping[str, PrivateKeyTypes],
) -> None:
    """Exactly the recorded bytes, under a key that did not sign them: that one has leaked."""
    service = FakeService(keys=token_keys(private_keys, "ES256", "EdDSA"))
    client = set_up(service)
    token = await a_machine_token(service, client)
    other = KeyThief(private_keys["EdDSA"], "EdDSA")
    payload = json.dumps(payload_of(token), separators=(",", ":")).encode()
    forged = other.signed_bytes(payload)

    assert await introspect(forged, authenticated(client), service) == INACTIVE
    assert await noted(service) == [(other.kid, ("kid",), payload_of(token)["jti"])]


async def test_the_same_members_otherwise_encoded(service: FakeService, thief: KeyThief) -> None:
    """The record names bytes: a reader elsewhere may take another encoding for something else."""
    client = set_up(service)
    token = await a_machine_token(service, client)
    forged = thief.signed_bytes(json.dumps(payload_of(token), indent=1).encode())

    assert await introspect(forged, authenticated(client), service) == INACTIVE
    assert await noted(service) == [(thief.kid, ("encoding",), payload_of(token)["jti"])]


async def test_an_identity_assertion_is_no_access_token(
    service: FakeService, thief: KeyThief
) -> None:
    """An ID-JAG that is recorded, signed again as an access token, is refused."""
    service.with_policy(id_jag=True)
    client = set_up(service)
    _, id_token = a_persons_tokens(service, client)
    asked = token_exchange.Parameters(
        subject_token=id_token,
        subject_token_type=ID_TOKEN_TYPE,
        actor_token=None,
        actor_token_type=None,
        requested_token_type=token_exchange.ID_JAG_TYPE,
        scope=None,
        audience=(API,),
    )
    given = await token_exchange.handle(asked, authenticated(client), context(), service)
    (assertion,) = (e for e in service.log.of(AccessToken.Issued) if e.form == ID_JAG)
    payload = json.dumps(payload_of(given.access_token), separators=(",", ":")).encode()

    assert assertion.payload_sha256 == payload_digest(payload)
    assert await introspect(
        thief.signed_bytes(payload, typ="at+jwt"), authenticated(client), service
    ) == dict(INACTIVE)
    assert await noted(service) == [(thief.kid, ("typ",), str(assertion.originator_id))]


MISSHAPEN: tuple[Mapping[str, Any], ...] = (
    {"exp": "tomorrow"},
    {"exp": 10**30},
    {"exp": True},
    {"exp": 2e9},
    {"iat": [1]},
    {"aud": 7},
    {"aud": [["nested"]]},
    {"sub": None},
    {"jti": 7},
    {"client_id": {"a": 1}},
    {"scope": ["admin"]},
    {"cnf": ["jkt"]},
    {"cnf": {"jwk": {}}},
    {"auth_time": "now"},
    {"sid": 1},
)


@pytest.mark.parametrize("changes", MISSHAPEN, ids=str)
async def test_a_misshapen_token_is_a_forged_one(
    service: FakeService, thief: KeyThief, changes: Mapping[str, Any]
) -> None:
    """What no token of ours looks like is inactive, nothing to revoke, and no server error."""
    client = set_up(service)
    forged = thief.forged(await a_machine_token(service, client), **changes)
    await revoke(forged, authenticated(client), context(), service)

    assert await introspect(forged, authenticated(client), service) == INACTIVE
    assert [differs for _, differs, _ in await noted(service)] == [tuple(changes)]


async def test_a_forged_token_revokes_nothing(service: FakeService, thief: KeyThief) -> None:
    """A client that names itself in a token with the `jti` of another's does not void that."""
    client = set_up(service)
    token = await a_machine_token(service, client)
    attacker = a_client(client_id="attacker")
    service.log.record(attacker)
    forged = thief.forged(token, client_id="attacker")
    await revoke(forged, authenticated(attacker), context(), service, descendants=True)

    assert service.log.of(AccessToken.Revoked) == []
    assert await noted(service) == [(thief.kid, ("client_id",), payload_of(token)["jti"])]


def _exchanging(token: str, kind: str, **more: Any) -> token_exchange.Parameters:
    return token_exchange.Parameters(
        subject_token=token,
        subject_token_type=kind,
        actor_token=more.get("actor_token"),
        actor_token_type=ACCESS_TOKEN_TYPE if "actor_token" in more else None,
        requested_token_type=None,
        scope=None,
        audience=(API,),
    )


@pytest.mark.parametrize("place", ["subject", "actor"])
async def test_a_forged_token_is_not_exchanged(
    service: FakeService, thief: KeyThief, place: str
) -> None:
    """Neither as the subject token nor as the actor token; the real ones are."""
    client = set_up(service)
    subject, _ = a_persons_tokens(service, client)
    actor = await a_machine_token(service, client)
    good = _exchanging(subject, ACCESS_TOKEN_TYPE, actor_token=actor)
    forged_subject = thief.forged(subject, scope="admin user")
    forged_actor = thief.forged(actor, sub="administration")
    forged = (
        _exchanging(forged_subject, ACCESS_TOKEN_TYPE, actor_token=actor)
        if place == "subject"
        else _exchanging(subject, ACCESS_TOKEN_TYPE, actor_token=forged_actor)
    )
    with pytest.raises(UnusableToken) as refusal:
        await token_exchange.handle(forged, authenticated(client), context(), service)

    assert refusal.value.reason == "no record says what this token says"
    assert len(await noted(service)) == 1
    given = await token_exchange.handle(good, authenticated(client), context(), service)
    assert payload_of(given.access_token)["sub"] == "alice"


ID_CHANGES = (
    Change({"sub": "owner-1"}, ("sub",)),
    Change({"exp": IN_2035}, ("exp",)),
    Change({"sid": "sess_0"}, ("sid",)),
    Change({"auth_time": 1}, ("auth_time",)),
    Change({"origin_jti": str(UUID(int=7))}, ("not recorded",)),
    Change({"nonce": "the victim's"}, ("another member",)),
    Change({"amr": ["hwk"]}, ("another member",)),
    Change({"groups": ["admins"]}, ("another member",)),
)


@pytest.mark.parametrize("change", ID_CHANGES, ids=lambda change: " ".join(change.changes))
async def test_a_forged_id_token_is_refused(
    service: FakeService, thief: KeyThief, change: Change
) -> None:
    """An ID token counts as the one that came with the recorded access token, to the byte."""
    client = set_up(service)
    _, id_token = a_persons_tokens(service, client)
    forged = thief.forged(id_token, **change.changes)
    good, bad = (_exchanging(one, ID_TOKEN_TYPE) for one in (id_token, forged))
    with pytest.raises(UnusableToken):
        await token_exchange.handle(bad, authenticated(client), context(), service)

    assert [differs for _, differs, _ in await noted(service)] == [change.differs]
    given = await token_exchange.handle(good, authenticated(client), context(), service)
    assert payload_of(given.access_token)["sub"] == "alice"


def _id_claims(service: FakeService, access_token: str) -> dict[str, Any]:
    record = service.log.folded(UUID(payload_of(access_token)["jti"]))
    return dict(service.verifier.recorded_id_claims(record))


def _without_openid(service: FakeService, client: Client) -> dict[str, Any]:
    return _id_claims(service, a_persons_tokens(service, client, scope=("user",))[0])


def _of_before_version_5(service: FakeService, client: Client) -> dict[str, Any]:
    before = recorded_before_version_5(service, client)
    said = payload_of(before)
    names = {"aud": said["client_id"], "auth_time": 1, "origin_jti": said["jti"]}
    return {**{name: said[name] for name in ("iss", "sub", "exp", "iat", "sid")}, **names}


@pytest.mark.parametrize("claims", [_without_openid, _of_before_version_5])
async def test_no_id_token_came_with_that_token(
    service: FakeService, thief: KeyThief, claims: Callable[..., dict[str, Any]]
) -> None:
    """Where none was issued, the best imitation of an ID token is forged, by its record."""
    client = set_up(service)
    forged = thief.signed(claims(service, client), typ="JWT")
    with pytest.raises(UnverifiableToken):
        await _presented_as_hint(forged, service)

    assert [differs for _, differs, _ in await noted(service)] == [("not recorded",)]


async def test_an_id_token_of_before_version_5_compares_by_member(
    service: FakeService, thief: KeyThief
) -> None:
    """What its record says must be so; nonce, amr and at_hash are in no record of that time."""
    client = set_up(service)
    token = client.issue_token_for_person(
        a_request(),
        Authority(("openid",), ("openid",), (), NOON),
        grant_type=AUTHORIZATION_CODE,
        person=service.directory.principal("alice"),
        family_id=None,
        policy=service.policy,
        signing=service.minter.choose(None),
        provenance=context().provenance,
    )
    service.log.record(token)
    id_token = service.minter.mint_id_token(token, "signed", about={"nonce": "nonce-1"})

    assert (await _presented_as_hint(id_token, service)).issued.subject == "alice"
    with pytest.raises(UnverifiableToken):
        await _presented_as_hint(thief.forged(id_token, sub="owner-1"), service)
    assert [differs for _, differs, _ in await noted(service)] == [("sub",)]


async def _presented_as_hint(id_token: str, service: FakeService) -> AccessToken:
    presented = Circumstances.of(context(), "logout")
    verified = verified_id_token(id_token, presented, service)
    return await recorded_id_token(verified, presented, service)


@pytest.mark.parametrize(("minutes", "forged"), [(0, False), (1, True)])
async def test_a_token_that_was_lost_with_the_log(
    service: FakeService, thief: KeyThief, minutes: int, forged: bool
) -> None:
    """A token of a time that the log lost is refused, and is no sign of a leaked key."""
    client = set_up(service)
    token = thief.forged(await a_machine_token(service, client), jti=str(stream_id(NOON)))
    since = NOON + timedelta(minutes=minutes)
    service.directory.lost = (since, since + timedelta(hours=1))

    assert await introspect(token, authenticated(client), service) == INACTIVE
    assert bool(await noted(service)) is forged


async def test_an_expired_token_without_a_record_is_no_sign_of_a_leak(
    service: FakeService, thief: KeyThief
) -> None:
    """Its month may have left the log. Where there is a record, what differs is noted."""
    client = set_up(service)
    token = await a_machine_token(service, client)
    service.clock.advance(hours=2)
    caller = authenticated(client)
    await revoke(thief.forged(token, jti=str(stream_id(NOON))), caller, context(), service)
    before = await noted(service)
    await revoke(thief.forged(token, sub="alice"), caller, context(), service)

    assert before == []
    assert [differs for _, differs, _ in await noted(service)] == [("sub",)]


async def test_what_was_signed_is_what_is_recorded(service: FakeService) -> None:
    """The record names the SHA-256 of the payloads that were handed out, to the byte."""
    client = set_up(service)
    access, id_token = a_persons_tokens(service, client)
    (issued,) = service.log.of(AccessToken.Issued)
    digests = [payload_digest(_payload(one)) for one in (access, id_token)]

    assert [issued.payload_sha256, issued.id_payload_sha256] == digests
    assert payload_of(access)["iss"] == ISSUER


def _payload(token: str) -> bytes:
    return jwt.utils.base64url_decode(token.split(".")[1])


async def test_a_recorded_token_is_not_rewritten(service: FakeService) -> None:
    """To sign again what is recorded changes nothing of the record."""
    client = set_up(service)
    token = await a_machine_token(service, client)
    record = service.log.folded(UUID(payload_of(token)["jti"]))
    before = replace(record.issued)
    record.sign_as("other")

    assert record.issued == before
    assert record.facts() == []
