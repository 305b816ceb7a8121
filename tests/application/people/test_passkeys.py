"""Passkeys: what a browser sends is believed only for our challenge, origin and counter."""

import asyncio
import json
from collections.abc import Callable
from datetime import timedelta

import cbor2
import pytest

from application.people.credentials import MOST_PASSKEYS, Credentials
from application.people.passkeys import PasskeyRefused, Passkeys
from tests.application.people.conftest import ORIGIN, RP_ID
from tests.application.people.soft_authenticator import SoftAuthenticator, b64url, from_b64url
from tests.builders import NOON

BROWSER = "mark-of-a-browser"


async def registered(passkeys: Passkeys) -> SoftAuthenticator:
    """Return an authenticator whose passkey is alice's."""
    device = SoftAuthenticator(origin=ORIGIN, rp_id=RP_ID)
    options = await passkeys.registration_options("alice", login="alice", now=NOON)
    await passkeys.register("alice", device.create(options), label="Phone", now=NOON)
    return device


async def test_a_passkey_logs_in(passkeys: Passkeys, credentials: Credentials) -> None:
    """A registered passkey proves its person, and its counter is kept."""
    device = await registered(passkeys)
    options = await passkeys.login_options(browser=BROWSER, now=NOON)
    proved = await passkeys.verify_login(device.get(options), browser=BROWSER, now=NOON)
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
    unknown = SoftAuthenticator(origin=ORIGIN, rp_id=RP_ID)
    unknown.user_handle = device.user_handle
    return unknown.get(options)


def _of_another_person(device: SoftAuthenticator, options: str) -> str:
    device.user_handle = b"h" * 32
    return device.get(options)


def _of_nobody(device: SoftAuthenticator, options: str) -> str:
    device.user_handle = b""
    return device.get(options)


def _top(device: SoftAuthenticator, options: str) -> str:
    return device.get(options, topOrigin="https://evil.example")


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
    ("in a frame", lambda d, o: d.get(o, crossOrigin=True), "frame"),
    ("in a frame, as a text", lambda d, o: d.get(o, crossOrigin="false"), "frame"),
    ("below another page", _top, "frame"),
    ("the handle of another person", _of_another_person, "user handle"),
    ("no user handle", _of_nobody, "unreadable"),
]


@pytest.mark.parametrize(("case", "attack", "reason"), ATTACKS, ids=[c for c, _, _ in ATTACKS])
async def test_answers_that_are_refused(
    passkeys: Passkeys, case: str, attack: Attack, reason: str
) -> None:
    """Whatever is wrong with the answer, nobody is logged in by it."""
    device = await registered(passkeys)
    options = await passkeys.login_options(browser=BROWSER, now=NOON)
    with pytest.raises(PasskeyRefused, match=reason):
        await passkeys.verify_login(attack(device, options), browser=BROWSER, now=NOON)


async def test_a_counter_that_goes_back(passkeys: Passkeys) -> None:
    """A counter that does not grow means a copy of the key."""
    device = await registered(passkeys)
    await passkeys.verify_login(
        device.get(await passkeys.login_options(browser=BROWSER, now=NOON)),
        browser=BROWSER,
        now=NOON,
    )
    device.count = 0
    with pytest.raises(PasskeyRefused, match="went back"):
        await passkeys.verify_login(
            device.get(await passkeys.login_options(browser=BROWSER, now=NOON)),
            browser=BROWSER,
            now=NOON,
        )


async def test_a_challenge_is_good_once_and_for_minutes(passkeys: Passkeys) -> None:
    """An answer cannot be replayed, nor come late; a challenge to register does not log in."""
    device = await registered(passkeys)
    options = await passkeys.login_options(browser=BROWSER, now=NOON)
    answer = device.get(options)
    await passkeys.verify_login(answer, browser=BROWSER, now=NOON)
    late = device.get(await passkeys.login_options(browser=BROWSER, now=NOON))
    other = device.get(await passkeys.registration_options("alice", login="alice", now=NOON))

    with pytest.raises(PasskeyRefused, match="challenge"):
        await passkeys.verify_login(answer, browser=BROWSER, now=NOON)
    with pytest.raises(PasskeyRefused, match="challenge"):
        await passkeys.verify_login(late, browser=BROWSER, now=NOON + timedelta(minutes=6))
    with pytest.raises(PasskeyRefused, match="challenge"):
        await passkeys.verify_login(other, browser=BROWSER, now=NOON)


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


ODD_KEYS: list[tuple[str, object]] = [
    ("nothing", b""),
    ("no map", 7),
    ("an empty map", {}),
    ("an unknown kind", {1: 99, 3: -7}),
    ("no curve", {1: 2, 3: -7}),
    ("an unknown curve", {1: 2, 3: -7, -1: 99, -2: b"x", -3: b"y"}),
    ("coordinates that are texts", {1: 2, 3: -7, -1: 1, -2: "x", -3: "y"}),
    ("coordinates of no point", {1: 2, 3: -7, -1: 1, -2: bytes(31) + b"x", -3: bytes(31) + b"y"}),
    ("a short point", {1: 1, 3: -8, -1: 6, -2: b"x"}),
    ("a point that is a number", {1: 1, 3: -8, -1: 6, -2: 7}),
    ("a modulus of nothing", {1: 3, 3: -257, -1: b"\0", -2: b"\0"}),
    ("small order", {1: 1, 3: -8, -1: 6, -2: (1).to_bytes(32, "little")}),
]


@pytest.mark.parametrize(("case", "cose"), ODD_KEYS, ids=[case for case, _ in ODD_KEYS])
async def test_a_key_that_is_none_is_refused(passkeys: Passkeys, case: str, cose: object) -> None:
    """A browser may send anything for a public key: a refusal, and no failure of ours."""
    device = SoftAuthenticator(origin=ORIGIN, rp_id=RP_ID)
    options = await passkeys.registration_options("alice", login="alice", now=NOON)
    response = json.loads(device.create(options))
    attestation = cbor2.loads(from_b64url(response["response"]["attestationObject"]))
    encoded = cose if isinstance(cose, bytes) else cbor2.dumps(cose)
    attestation["authData"] = attestation["authData"][: 37 + 16 + 2 + 32] + encoded
    response["response"]["attestationObject"] = b64url(cbor2.dumps(attestation))
    with pytest.raises(PasskeyRefused, match="registration"):
        await passkeys.register("alice", json.dumps(response), label="x", now=NOON)


async def test_a_challenge_is_of_one_browser(passkeys: Passkeys) -> None:
    """An answer to the challenge of another browser logs nobody in: its person was made to give it,
    or it was stolen on its way.
    """
    device = await registered(passkeys)
    options = await passkeys.login_options(browser="another", now=NOON)
    with pytest.raises(PasskeyRefused, match="challenge"):
        await passkeys.verify_login(device.get(options), browser=BROWSER, now=NOON)


async def test_a_passkey_is_not_made_in_a_frame(passkeys: Passkeys) -> None:
    """A page that embeds ours cannot let a person make a passkey there."""
    device = SoftAuthenticator(origin=ORIGIN, rp_id=RP_ID)
    options = await passkeys.registration_options("alice", login="alice", now=NOON)
    with pytest.raises(PasskeyRefused, match="frame"):
        await passkeys.register(
            "alice", device.create(options, crossOrigin=True), label="x", now=NOON
        )


async def test_a_counter_counts_once(passkeys: Passkeys, credentials: Credentials) -> None:
    """Of two uses with the same counter, a passkey and its copy, one succeeds however they race."""
    device = await registered(passkeys)
    answers = []
    for _ in range(8):
        options = await passkeys.login_options(browser=BROWSER, now=NOON)
        answers.append(device.get(options))
        device.count = 0
    counted = await asyncio.gather(
        *(credentials.count_use(device.credential_id, 1) for _ in range(8))
    )

    assert sorted(counted) == [False] * 7 + [True]
    for answer in answers:
        with pytest.raises(PasskeyRefused, match="went back"):
            await passkeys.verify_login(answer, browser=BROWSER, now=NOON)


async def test_a_counter_that_is_not_used(passkeys: Passkeys, credentials: Credentials) -> None:
    """Many passkeys count nothing: theirs stays at nought, and logs in again and again."""
    device = await registered(passkeys)
    for _ in range(2):
        device.count = -1
        options = await passkeys.login_options(browser=BROWSER, now=NOON)
        await passkeys.verify_login(device.get(options), browser=BROWSER, now=NOON)

    kept = await credentials.passkey(device.credential_id)
    assert kept is not None
    assert kept.sign_count == 0


async def test_passkeys_are_bounded(passkeys: Passkeys, credentials: Credentials) -> None:
    """Of registrations at once no more are kept than a person may have, and then none is begun."""
    asked = [
        await passkeys.registration_options("alice", login="alice", now=NOON)
        for _ in range(MOST_PASSKEYS + 10)
    ]
    outcomes = await asyncio.gather(
        *(
            passkeys.register(
                "alice",
                SoftAuthenticator(origin=ORIGIN, rp_id=RP_ID).create(options),
                label="x",
                now=NOON,
            )
            for options in asked
        ),
        return_exceptions=True,
    )
    refused = [outcome for outcome in outcomes if isinstance(outcome, PasskeyRefused)]

    assert [str(outcome) for outcome in refused] == ["a person has 20 passkeys at most"] * 10
    assert len(await credentials.passkeys_of("alice")) == MOST_PASSKEYS
    with pytest.raises(PasskeyRefused, match="at most"):
        await passkeys.registration_options("alice", login="alice", now=NOON)
    await passkeys.registration_options("bob", login="bob", now=NOON)
