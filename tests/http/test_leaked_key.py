"""An attacker with a copy of the signing key presents forged tokens everywhere: none is taken. The
record, readiness, the metrics, the doctor, the console and a report show the leak.
"""

import subprocess
from collections.abc import Iterator
from typing import Any

import httpx
import jwt
import psycopg
import pytest
from prometheus_client.parser import text_string_to_metric_families

from api.signed_introspection import MEDIA_TYPE
from application.key_material import load_private_key
from application.secret_keys import WrappedKey
from application.secrets_file import load_secret_keys
from application.settings import load_settings
from tests.application.key_thief import KeyThief
from tests.cli.running_service import COMMAND, clean_environment, running_service
from tests.http.auditor import an_auditor
from tests.http.live import INTROSPECT, REVOKE, Live
from tests.http.person import CALLBACK, Person, WebClient, a_person, a_web_client, answer
from tests.postgres import Postgres
from tests.waiting import eventually

IN_2035 = 2_051_222_400
INACTIVE = {"active": False}
EXCHANGE = "urn:ietf:params:oauth:grant-type:token-exchange"
KIND = "urn:ietf:params:oauth:token-type:"
ADMINISTRATOR: dict[str, Any] = {
    "scope": "clients:manage audit:read reports:read admin user openid profile",
    "sub": "administration",
    "client_id": "administration",
    "exp": IN_2035,
    "auth_time": 1_767_225_600,
}


@pytest.fixture(scope="module")
def robbed(postgres: Postgres, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Live]:
    """A service of its own: its alarm would stand in every other test."""
    data_dir = tmp_path_factory.mktemp("robbed")
    with (
        postgres.database() as url,
        running_service(data_dir, "--workers", "2", DATABASE_URL=url) as service,
        httpx.Client(base_url=service.url, timeout=20) as http,
    ):
        yield Live(service, http, url)


@pytest.fixture(scope="module")
def thief(robbed: Live) -> KeyThief:
    """An attacker with a copy of the key that signs."""
    _, master_keys = load_secret_keys(load_settings(data_dir=robbed.service.data_dir))
    kid = jwt.get_unverified_header(robbed.token())["kid"]
    with psycopg.connect(robbed.database_url) as connection:
        row = connection.execute(
            "SELECT kid, master_key_id, nonce, ciphertext FROM grantledger.wrapped_keys"
            " WHERE kid = %s",
            (kid,),
        ).fetchone()
    assert row is not None
    return KeyThief(load_private_key(master_keys.unwrap(WrappedKey(*row))))


@pytest.fixture(scope="module")
def person(robbed: Live) -> Person:
    """A person who is logged in."""
    return a_person(robbed, "victim")


@pytest.fixture(scope="module")
def shop(robbed: Live) -> WebClient:
    """A client that people log in to, and that exchanges tokens."""
    return a_web_client(
        robbed,
        "robbed-shop",
        grant_types=["authorization_code", "refresh_token", "client_credentials", EXCHANGE],
        redirects={"redirect_uris": [CALLBACK], "post_logout_redirect_uris": [CALLBACK]},
    )


def bearing(token: str) -> dict[str, str]:
    """Return the header that presents a token."""
    return {"Authorization": f"Bearer {token}"}


def audiences(live: Live) -> list[str]:
    """Return the audiences that open every protected endpoint, and introspection to the demo."""
    return [live.service.url, f"{live.service.url}/management", "demo"]


def forgeries_of(live: Live) -> int:
    """Return how many forged tokens the record tells of."""
    events = live.audit(topic="forged_token.presented")
    return sum(event["detail"]["count"] for event in events)


def noticed(live: Live, before: int) -> bool:
    """Tell whether more forged tokens are recorded than before."""
    return forgeries_of(live) > before


def test_the_token_of_2035(robbed: Live, thief: KeyThief) -> None:
    """With the key and the `jti` of an ordinary token, another scope, end, subject and audience are
    inactive, in JSON and signed, open nothing, and register no principal.
    """
    token = robbed.token()
    forged = thief.forged(token, aud=audiences(robbed), **ADMINISTRATOR)
    signed = robbed.http.post(
        INTROSPECT, auth=robbed.demo, data={"token": forged}, headers={"accept": MEDIA_TYPE}
    )
    said = jwt.decode(signed.text, options={"verify_signature": False})
    answers = {
        path: robbed.http.get(path, headers=bearing(forged)).status_code
        for path in ("/admin/clients", "/audit/events", "/reports", "/oauth/userinfo")
    }
    made = robbed.http.post(
        "/admin/principals",
        headers=bearing(forged),
        json={"subject": "intruder", "roles": ["admin"]},
    )
    with robbed.http.stream("GET", "/audit/events/follow", headers=bearing(forged)) as stream:
        followed = stream.status_code

    assert robbed.introspect(forged) == INACTIVE
    assert robbed.introspect(forged, robbed.administration) == INACTIVE
    assert said["token_introspection"] == INACTIVE
    assert set(answers.values()) == {401}, answers
    assert (made.status_code, followed) == (401, 401)
    assert robbed.audit(topic="principal.registered", subject="intruder") == []
    assert robbed.introspect(token)["active"] is True


@pytest.mark.parametrize("jti", ["019cb391-c2fa-7bd5-9a71-cb94b598a865", "a'b", "\0"])
def test_a_token_that_was_never_issued(robbed: Live, thief: KeyThief, jti: str) -> None:
    """A `jti` of the thief's own invention opens nothing, and is no server error."""
    forged = thief.forged(robbed.token(), jti=jti, aud=audiences(robbed), **ADMINISTRATOR)
    answers = [
        robbed.http.get(path, headers=bearing(forged)).status_code
        for path in ("/admin/clients", "/audit/events", "/oauth/userinfo")
    ]
    revoked = robbed.http.post(REVOKE, auth=robbed.administration, data={"token": forged})

    assert robbed.introspect(forged) == INACTIVE
    assert answers == [401, 401, 401]
    assert revoked.status_code == 200


def test_a_forged_token_revokes_and_exchanges_nothing(
    robbed: Live, thief: KeyThief, person: Person, shop: WebClient
) -> None:
    """Revocation and the exchange, for subject, actor and ID token, go by the record."""
    tokens = shop.tokens_from(person)
    access, id_token = tokens["access_token"], tokens["id_token"]
    robbed.http.post(
        REVOKE, auth=robbed.demo, data={"token": thief.forged(access, client_id="demo")}
    )
    actor = robbed.token((shop.client_id, shop.secret), scope="mcp")
    forged_id = thief.forged(id_token, sub="administration")
    refused = [
        shop.ask(EXCHANGE, **form)
        for form in (
            {
                "subject_token": thief.forged(access, scope="admin user", exp=IN_2035),
                "subject_token_type": f"{KIND}access_token",
            },
            {"subject_token": forged_id, "subject_token_type": f"{KIND}id_token"},
            {
                "subject_token": access,
                "subject_token_type": f"{KIND}access_token",
                "actor_token": thief.forged(actor, sub="administration"),
                "actor_token_type": f"{KIND}access_token",
            },
        )
    ]
    good = shop.ask(EXCHANGE, subject_token=id_token, subject_token_type=f"{KIND}id_token")

    assert robbed.introspect(access, (shop.client_id, shop.secret))["active"] is True
    assert [one.status_code for one in refused] == [400, 400, 400]
    assert len({one.json()["error_description"] for one in refused}) == 1
    assert good.status_code == 200, good.text


def test_forged_hints(robbed: Live, thief: KeyThief, person: Person, shop: WebClient) -> None:
    """A forged ID token logs nobody out, redirects nobody, and names no person to a client."""
    id_token = shop.tokens_from(person)["id_token"]
    before = forgeries_of(robbed)
    forged = thief.forged(id_token, nonce="another", exp=IN_2035)
    out = person.open(
        "/oauth/logout", id_token_hint=forged, post_logout_redirect_uri=CALLBACK, state="x"
    )
    silent = person.open("/oauth/authorize", **shop.parameters(prompt="none", id_token_hint=forged))
    real = person.open("/oauth/authorize", **shop.parameters(prompt="none", id_token_hint=id_token))

    assert out.status_code == 400
    assert answer(silent)["error"] == "invalid_request"
    assert "code" in answer(real)
    eventually(lambda: noticed(robbed, before))


def test_who_presented_what_is_recorded(robbed: Live, thief: KeyThief) -> None:
    """An event names the key, what differed, the endpoint and the caller, and nothing that the
    forged token claims.
    """
    token = robbed.token()
    robbed.introspect(thief.forged(token, roles=["s3cret-role"]))

    def found() -> list[dict[str, Any]]:
        events = robbed.audit(topic="forged_token.presented")
        return [event for event in events if event["detail"]["differs"] == ["roles"]]

    eventually(lambda: len(found()) == 1)
    (event,) = found()

    assert (event["kid"], event["outcome"]) == (thief.kid, "failure")
    assert (event["detail"]["endpoint"], event["client_id"]) == ("introspect", "demo")
    assert event["jti"] == jwt.decode(token, options={"verify_signature": False})["jti"]
    assert event["address"]
    assert "s3cret-role" not in str(event)


def test_the_leak_is_shown_everywhere(robbed: Live, thief: KeyThief) -> None:
    """Readiness and metrics have the alarm, the doctor and the console name the key, a report lists
    it; issuing goes on.
    """
    robbed.introspect(thief.forged(robbed.token(), exp=IN_2035))
    eventually(lambda: "forged_tokens" in _alarms(robbed))
    report = robbed.http.get("/reports/forged-tokens", headers=robbed.bearer())
    auditor = an_auditor(robbed, "leak-auditor")
    overview = auditor.look("/console")
    doctor = _doctor(robbed)

    assert robbed.http.get("/readyz").status_code == 200
    assert thief.kid not in robbed.http.get("/readyz").text
    assert _metric(robbed) == 1.0
    assert thief.kid in overview.text
    assert thief.kid in doctor
    assert {row["kid"] for row in report.json()["rows"]} == {thief.kid}


def test_the_alarm_ends_with_the_key(robbed: Live, thief: KeyThief) -> None:
    """Once the key is revoked, the alarm is gone, and a token that it signs is as good as none."""
    robbed.introspect(thief.forged(robbed.token(), exp=IN_2035))
    eventually(lambda: "forged_tokens" in _alarms(robbed))
    revoked = robbed.http.post(f"/admin/keys/{thief.kid}/revoke", headers=robbed.bearer())
    eventually(lambda: "forged_tokens" not in _alarms(robbed))
    forged = thief.forged(robbed.token(), exp=IN_2035)

    assert revoked.status_code < 300, revoked.text
    assert robbed.introspect(forged) == INACTIVE
    assert robbed.introspect(robbed.token())["active"] is True


def _alarms(live: Live) -> set[str]:
    return {alarm["name"] for alarm in live.http.get("/readyz").json()["alarms"] or ()}


def _metric(live: Live) -> float:
    for family in text_string_to_metric_families(live.http.get("/metrics").text):
        for sample in family.samples:
            if sample.name == "grantledger_alarms" and sample.labels["alarm"] == "forged_tokens":
                return float(sample.value)
    return -1.0


def _doctor(live: Live) -> str:
    done = subprocess.run(
        [*COMMAND, "doctor", "--data-dir", str(live.service.data_dir)],
        env=clean_environment(DATABASE_URL=live.database_url, COLUMNS="400"),
        capture_output=True,
        text=True,
        check=False,
    )
    return done.stdout
