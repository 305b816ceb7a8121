"""Rich authorization requests (RFC 9396) over HTTP, through every grant that takes them."""

import json
from typing import Any

import httpx
import jwt
import pytest

from tests.http.live import DETAILS, FORM, TOKEN, Live
from tests.http.person import Person, WebClient, a_person, a_web_client, answer
from tests.waiting import eventually

EXCHANGE = "urn:ietf:params:oauth:grant-type:token-exchange"
DEVICE = "urn:ietf:params:oauth:grant-type:device_code"
PAYMENT = {
    "type": "payment_initiation",
    "actions": ["initiate", "status"],
    "instructedAmount": {"currency": "EUR", "amount": "123.50"},
    "creditorName": "<b>Merchant</b> & Co",
}
STATUS = {**PAYMENT, "actions": ["status"]}
MORE = {**PAYMENT, "instructedAmount": {"currency": "EUR", "amount": "9999.00"}}


def sent(*details: dict[str, Any]) -> str:
    """Return the parameter."""
    return json.dumps(details)


def carried(token: str) -> Any:
    """Return what a token says."""
    return jwt.decode(token, options={"verify_signature": False}).get("authorization_details")


@pytest.fixture(scope="module")
def alice(generous: Live) -> Person:
    """Somebody with an account."""
    return a_person(generous, "rar-alice")


@pytest.fixture(scope="module")
def shop(generous: Live) -> WebClient:
    """A client that may ask for payments."""
    return a_web_client(
        generous,
        "rar-shop",
        grant_types=["authorization_code", "refresh_token", DEVICE, EXCHANGE, "client_credentials"],
        authorization_details_types=["payment_initiation"],
    )


def test_a_payment_is_consented_to_each_time(
    generous: Live, alice: Person, shop: WebClient
) -> None:
    """The person sees what it is about, in words and escaped; code, token, answer, introspection
    and audit trail carry it; the next payment is asked about again.
    """
    parameters = shop.parameters(authorization_details=sent(PAYMENT))
    page = alice.open("/oauth/authorize", **parameters)
    page = alice.log_in(page)
    tokens = shop.redeem(answer(alice.allow(page))["code"]).json()
    again = alice.open("/oauth/authorize", **parameters)
    silent = alice.open("/oauth/authorize", **{**parameters, "prompt": "none"})
    told = generous.introspect(tokens["access_token"], (shop.client_id, shop.secret))
    (entry, *_) = generous.audit(client_id="rar-shop", topic="token.issued")

    assert "Make a payment" in page.text
    assert "<dt><bdi>Amount</bdi></dt><dd><bdi>currency: EUR</bdi></dd>" in page.text
    assert "&lt;b&gt;Merchant&lt;/b&gt; &amp; Co" in page.text
    assert tokens["authorization_details"] == [PAYMENT]
    assert carried(tokens["access_token"]) == told["authorization_details"] == [PAYMENT]
    assert entry["detail"]["authorization_details"] == [PAYMENT]
    assert 'action="/consent"' in again.text
    assert answer(silent)["error"] == "consent_required"


def test_each_token_carries_what_its_target_is_for(generous: Live, alice: Person) -> None:
    """With a `resource`, of the authorization request or of a machine, what is for other places is
    left out: of code, refresh and client_credentials alike.
    """
    resource = "https://a.example"
    shop = a_web_client(
        generous,
        "rar-places",
        grant_types=["authorization_code", "refresh_token", "client_credentials"],
        audiences={"allowed": [resource, "https://b.example"]},
        authorization_details_types=["payment_initiation"],
    )
    here, there = ({**PAYMENT, "locations": [place]} for place in (resource, "https://b.example"))
    both = sent(here, there)
    code = shop.code_from(alice, authorization_details=both, resource=resource)
    tokens = shop.redeem(code).json()
    refreshed = shop.refresh(tokens["refresh_token"]).json()
    wanted = {"scope": "mcp", "authorization_details": both}
    own = shop.ask("client_credentials", resource=resource, **wanted).json()
    untold = shop.ask("client_credentials", **wanted).json()

    for answered in (tokens, refreshed, own):
        assert answered["authorization_details"] == [here]
        assert carried(answered["access_token"]) == [here]
    assert untold["authorization_details"] == [here, there]


def test_introspection_tells_what_a_refresh_token_is_good_for(
    generous: Live, alice: Person, shop: WebClient
) -> None:
    """RFC 9396, Section 9.2: it holds for both kinds of tokens."""
    tokens = shop.tokens_from(alice, authorization_details=sent(PAYMENT))
    told = generous.introspect(tokens["refresh_token"], (shop.client_id, shop.secret))

    assert told["authorization_details"] == [PAYMENT]


def test_refreshes_narrow(generous: Live, alice: Person, shop: WebClient) -> None:
    """A refresh keeps what was granted, takes a part of it, and never more."""
    tokens = shop.tokens_from(alice, authorization_details=sent(PAYMENT))
    same = shop.refresh(tokens["refresh_token"]).json()
    part = shop.refresh(same["refresh_token"], authorization_details=sent(STATUS)).json()
    more = shop.refresh(part["refresh_token"], authorization_details=sent(MORE))
    whole = shop.refresh(part["refresh_token"]).json()

    assert same["authorization_details"] == [PAYMENT]
    assert part["authorization_details"] == [STATUS]
    assert (more.status_code, more.json()["error"]) == (400, "invalid_authorization_details")
    assert whole["authorization_details"] == [PAYMENT]


def test_a_code_is_redeemed_for_a_part(alice: Person, shop: WebClient) -> None:
    """The token request may name less than was allowed; one that is refused leaves the code."""
    code = shop.code_from(alice, authorization_details=sent(PAYMENT))
    more = shop.redeem(code, authorization_details=sent(MORE))
    part = shop.redeem(code, authorization_details=sent(STATUS))

    assert more.json()["error"] == "invalid_authorization_details"
    assert part.json()["authorization_details"] == [STATUS]


def test_exchanges_narrow(generous: Live, shop: WebClient) -> None:
    """What a token carries is passed on, or a part of it."""
    own = shop.ask("client_credentials", scope="mcp", authorization_details=sent(PAYMENT)).json()

    def exchanged(**form: str) -> httpx.Response:
        return shop.ask(
            EXCHANGE,
            subject_token=own["access_token"],
            subject_token_type="urn:ietf:params:oauth:token-type:access_token",
            **form,
        )

    assert own["authorization_details"] == [PAYMENT]
    assert exchanged().json()["authorization_details"] == [PAYMENT]
    part = exchanged(authorization_details=sent(STATUS)).json()
    assert carried(part["access_token"]) == [STATUS]
    refused = exchanged(authorization_details=sent(MORE))
    assert refused.json()["error"] == "invalid_authorization_details"


def test_pushed_requests_and_devices(generous: Live, alice: Person, shop: WebClient) -> None:
    """Both take them; the person who types the code of a device sees what it is about."""
    pushed = shop.post("/oauth/par", **shop.parameters(authorization_details=sent(PAYMENT)))
    page = alice.open(
        "/oauth/authorize", client_id=shop.client_id, request_uri=pushed.json()["request_uri"]
    )
    device = shop.post(
        "/oauth/device_authorization", scope="user", authorization_details=sent(PAYMENT)
    ).json()
    typed = alice.submit(alice.open("/device"), "/device", user_code=device["user_code"])
    alice.submit(typed, "/device/confirm", decision="allow")
    tokens = shop.ask(DEVICE, device_code=device["device_code"]).json()

    assert "Make a payment" in page.text
    assert "Make a payment" in typed.text
    assert tokens["authorization_details"] == [PAYMENT]


@pytest.mark.parametrize(
    ("description", "details"),
    [
        ("no JSON", "payment"),
        ("an unknown type", sent({"type": "loan"})),
        ("a type of others", sent({"type": "account_information"})),
        ("not fitting", sent({"type": "payment_initiation"})),
        ("U+0000", sent({**PAYMENT, "creditorName": "a\0"})),
        ("a huge number", sent({**PAYMENT, "count": 2**70})),
        ("half a character", sent(PAYMENT).replace("Merchant", "\\ud800")),
        ("a name twice", '[{"type": "account_information", "type": "payment_initiation"}]'),
    ],
)
def test_what_is_refused(
    generous: Live, alice: Person, shop: WebClient, description: str, details: str
) -> None:
    """At the token endpoint, when pushed, and by way of the browser: the same error."""
    page = alice.open("/oauth/authorize", **shop.parameters(authorization_details=details))
    answers = [
        shop.ask("client_credentials", scope="mcp", authorization_details=details),
        shop.post("/oauth/par", **shop.parameters(authorization_details=details)),
        shop.post("/oauth/device_authorization", scope="user", authorization_details=details),
    ]

    error = "invalid_authorization_details"
    assert [(one.status_code, one.json()["error"]) for one in answers] == [(400, error)] * 3
    assert answer(page)["error"] == error


def test_clients_without_types_have_none(generous: Live) -> None:
    """A client that was not given a type cannot ask for it, and the types are an operator's to
    give; metadata tells which there are.
    """
    refused = generous.http.post(
        TOKEN, auth=generous.demo, data={**FORM, "authorization_details": sent(PAYMENT)}
    )
    types = {"authorization_details_types": ["payment_initiation"]}
    changed = generous.http.patch("/admin/clients/demo", headers=generous.bearer(), json=types)
    metadata = generous.http.get("/.well-known/oauth-authorization-server").json()
    malformed = generous.http.patch(
        "/admin/clients/demo",
        headers=generous.bearer(),
        json={"authorization_details_types": ["a\0"]},
    )

    assert (malformed.status_code, malformed.json()["error"]) == (400, "invalid_request")
    assert refused.json()["error"] == "invalid_authorization_details"
    assert changed.json()["authorization_details_types"] == ["payment_initiation"]
    assert metadata["authorization_details_types_supported"] == list(DETAILS)
    eventually(lambda: generous.ask_token(authorization_details=sent(PAYMENT)).status_code == 200)


def test_a_type_that_was_taken_away_is_issued_no_more(generous: Live, alice: Person) -> None:
    """A family keeps what was consented to; what the client may not use any more is left out."""
    client = a_web_client(
        generous, "rar-former", authorization_details_types=["payment_initiation"]
    )
    tokens = client.tokens_from(alice, authorization_details=sent(PAYMENT))
    generous.http.patch(
        "/admin/clients/rar-former",
        headers=generous.bearer(),
        json={"authorization_details_types": []},
    ).raise_for_status()
    token = tokens["refresh_token"]

    def refreshed() -> dict[str, Any]:
        nonlocal token
        found: dict[str, Any] = client.refresh(token).json()
        token = found["refresh_token"]
        return found

    assert tokens["authorization_details"] == [PAYMENT]
    eventually(lambda: "authorization_details" not in refreshed())


def test_assertions_carry_none(generous: Live, shop: WebClient) -> None:
    """A grant that cannot grant them says so, and does not leave them out in silence."""
    answered = shop.ask(DEVICE, device_code="x", authorization_details=sent(PAYMENT))

    assert answered.json()["error"] == "invalid_authorization_details"
