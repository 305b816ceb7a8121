"""Passkeys: what a browser sends is believed only for our challenge, origin and counter."""

import json
from collections.abc import Callable
from datetime import timedelta

import pytest

from application.people.credentials import Credentials
from application.people.passkeys import PasskeyRefused, Passkeys
from tests.application.people.conftest import ORIGIN, RP_ID
from tests.application.people.soft_authenticator import SoftAuthenticator
from tests.builders import NOON


async def registered(passkeys: Passkeys) -> SoftAuthenticator:
    """Return an authenticator whose passkey is alice's."""
    device = SoftAuthenticator(origin=ORIGIN, rp_id=RP_ID)
    options = await passkeys.registration_options("alice", login="alice", now=NOON)
    await passkeys.register("alice", device.create(options), label="Phone", now=NOON)
    return device


async def test_a_passkey_logs_in(passkeys: Passkeys, credentials: Credentials) -> None:
    """A registered passkey proves its person, and its counter is kept."""
    device = await registered(passkeys)
    options = await passkeys.login_options(now=NOON)
    proved = await passkeys.verify_login(device.get(options), now=NOON)
    kept = await credentials.passkey(device.credential_id)

    assert (proved.subject, proved.label) == ("alice", "Phone")
    assert kept is not None
    assert kept.sign_count == 1


Attack = Callable[[SoftAuthenticator, str], str]


def _unverified(device: SoftAuthenticator, options: str) -> str:
    device.verified = False
    return device.get(options)


def _tampered(device: SoftAuthenticator, options: str) -> str:
    response = json.loads(device.get(options))
    response["response"]["signature"] = "MEUCIQ"
    return json.dumps(response)


def _unknown(device: SoftAuthenticator, options: str) -> str:
    return SoftAuthenticator(origin=ORIGIN, rp_id=RP_ID).get(options)


ATTACKS: list[tuple[str, Attack, str]] = [
    ("no JSON", lambda _d, _o: "{", "unreadable"),
    ("an array", lambda _d, _o: "[]", "unreadable"),
    ("nothing", lambda _d, _o: "", "unreadable"),
    ("oversized", lambda _d, _o: "x" * 20_000, "oversized"),
    ("deep", lambda _d, _o: "[" * 15_000, "unreadable"),
    ("a challenge of its own", lambda d, _o: d.get('{"challenge": "AAAA"}'), "challenge"),
    ("another origin", lambda d, o: d.get(o, origin="https://evil.example"), "assertion"),
    ("a registration", lambda d, o: d.get(o, type="webauthn.create"), "assertion"),
    ("nobody verified", _unverified, "assertion"),
    ("a bad signature", _tampered, "assertion"),
    ("an unknown passkey", _unknown, "unknown passkey"),
]


@pytest.mark.parametrize(("case", "attack", "reason"), ATTACKS, ids=[c for c, _, _ in ATTACKS])
async def test_answers_that_are_refused(
    passkeys: Passkeys, case: str, attack: Attack, reason: str
) -> None:
    """Whatever is wrong with the answer, nobody is logged in by it."""
    device = await registered(passkeys)
    options = await passkeys.login_options(now=NOON)
    with pytest.raises(PasskeyRefused, match=reason):
        await passkeys.verify_login(attack(device, options), now=NOON)


async def test_a_counter_that_goes_back(passkeys: Passkeys) -> None:
    """A counter that does not grow means a copy of the key."""
    device = await registered(passkeys)
    await passkeys.verify_login(device.get(await passkeys.login_options(now=NOON)), now=NOON)
    device.count = 0
    with pytest.raises(PasskeyRefused, match="went back"):
        await passkeys.verify_login(device.get(await passkeys.login_options(now=NOON)), now=NOON)


async def test_a_challenge_is_good_once_and_for_minutes(passkeys: Passkeys) -> None:
    """An answer cannot be replayed, nor come late; a challenge to register does not log in."""
    device = await registered(passkeys)
    options = await passkeys.login_options(now=NOON)
    answer = device.get(options)
    await passkeys.verify_login(answer, now=NOON)
    late = device.get(await passkeys.login_options(now=NOON))
    other = device.get(await passkeys.registration_options("alice", login="alice", now=NOON))

    with pytest.raises(PasskeyRefused, match="challenge"):
        await passkeys.verify_login(answer, now=NOON)
    with pytest.raises(PasskeyRefused, match="challenge"):
        await passkeys.verify_login(late, now=NOON + timedelta(minutes=6))
    with pytest.raises(PasskeyRefused, match="challenge"):
        await passkeys.verify_login(other, now=NOON)


async def test_a_registration_is_its_persons(passkeys: Passkeys) -> None:
    """Options made for one person register no passkey for another, nor the same one twice."""
    device = SoftAuthenticator(origin=ORIGIN, rp_id=RP_ID)
    options = await passkeys.registration_options("alice", login="alice", now=NOON)
    with pytest.raises(PasskeyRefused, match="challenge"):
        await passkeys.register("mallory", device.create(options), label="x", now=NOON)
    options = await passkeys.registration_options("alice", login="alice", now=NOON)
    await passkeys.register("alice", device.create(options), label="x", now=NOON)
    options = await passkeys.registration_options("alice", login="alice", now=NOON)
    with pytest.raises(PasskeyRefused, match="already"):
        await passkeys.register("alice", device.create(options), label="x", now=NOON)
