"""Step-up (RFC 9470): our protected endpoints may ask for a recent login."""

import httpx

from tests.http.live import MAX_AGE, Live
from tests.http.person import a_person, a_web_client
from tests.waiting import eventually

PATH = "/admin/keys"


def test_an_old_login_is_asked_for_again(generous: Live) -> None:
    """The challenge says how recent it must be; with that `max_age` the client sends the person to
    log in, and the new token is taken.
    """
    operator = a_person(generous, "step-up-operator", roles=("clients:manage",))
    console = a_web_client(generous, "step-up-console", scopes=["openid", "clients:manage"])

    def manage(token: str) -> httpx.Response:
        return generous.http.get(PATH, headers={"Authorization": f"Bearer {token}"})

    scope = "openid clients:manage"
    token = console.tokens_from(operator, scope=scope)["access_token"]
    fresh = manage(token)
    eventually(lambda: manage(token).status_code == 401)
    refused = manage(token)
    page = operator.open(
        "/oauth/authorize", **console.parameters(scope=scope, max_age=str(MAX_AGE))
    )
    again = console.tokens_from(operator, scope=scope, max_age=str(MAX_AGE))["access_token"]

    assert fresh.status_code == 200
    assert refused.json()["error"] == "insufficient_user_authentication"
    challenge = refused.headers["www-authenticate"]
    assert 'error="insufficient_user_authentication"' in challenge
    assert f'max_age="{MAX_AGE}"' in challenge
    assert 'action="/login"' in page.text
    assert manage(again).status_code == 200


def test_machines_have_no_login(generous: Live) -> None:
    """A client that acts as itself is let in as ever."""
    assert generous.http.get(PATH, headers=generous.bearer()).status_code == 200


def test_whoever_acts_for_a_person_is_held_to_its_login(generous: Live) -> None:
    """A token with an actor in it is not a machine's own, whatever it says of a login."""
    exchange = "urn:ietf:params:oauth:grant-type:token-exchange"
    agent = generous.register(
        "step-up-agent",
        scopes=["clients:manage"],
        grant_types=["client_credentials", exchange],
    )
    eventually(lambda: generous.ask_token(agent).status_code == 200)
    own = generous.token(agent)
    exchanged = generous.ask_token(
        agent,
        grant_type=exchange,
        subject_token=own,
        subject_token_type="urn:ietf:params:oauth:token-type:access_token",
    ).json()["access_token"]

    found = [
        generous.http.get(PATH, headers={"Authorization": f"Bearer {token}"}).status_code
        for token in (own, exchanged)
    ]
    assert found == [200, 401]


def test_whoever_passes_for_a_person_is_no_machine(generous: Live) -> None:
    """A token of an impersonation says nothing of a login, nor of an actor; still it is not the
    client's own.
    """
    exchange = "urn:ietf:params:oauth:grant-type:token-exchange"
    double = generous.register(
        "step-up-double",
        scopes=["clients:manage"],
        grant_types=["client_credentials", exchange],
        delegation={"impersonation": True},
    )
    owned = generous.register(
        "step-up-owned",
        scopes=["clients:manage"],
        owner="owner",
        audiences={"allowed": ["step-up-double"]},
    )
    eventually(lambda: all(generous.ask_token(one).status_code == 200 for one in (double, owned)))
    own = generous.token(owned)
    passed_on = generous.token(owned, audience="step-up-double")
    exchanged = generous.ask_token(
        double,
        grant_type=exchange,
        subject_token=passed_on,
        subject_token_type="urn:ietf:params:oauth:token-type:access_token",
    ).json()["access_token"]
    told = generous.introspect(exchanged, double)

    found = [
        generous.http.get(PATH, headers={"Authorization": f"Bearer {token}"}).status_code
        for token in (own, exchanged)
    ]
    assert told["sub"] == "owner"
    assert {"act", "auth_time", "roles"}.isdisjoint(told)
    assert found == [200, 401]


def test_an_owner_in_common_makes_no_machine(generous: Live) -> None:
    """A client that passes for its own owner got the token for a person: the record tells, and not
    that `sub` is the owner of the client.
    """
    exchange = "urn:ietf:params:oauth:grant-type:token-exchange"
    double = generous.register(
        "step-up-own-double",
        scopes=["clients:manage"],
        owner="owner",
        grant_types=["client_credentials", exchange],
        delegation={"impersonation": True},
    )
    owned = generous.register(
        "step-up-sibling",
        scopes=["clients:manage"],
        owner="owner",
        audiences={"allowed": ["step-up-own-double"], "default": ["step-up-own-double"]},
    )
    eventually(lambda: all(generous.ask_token(one).status_code == 200 for one in (double, owned)))
    exchanged = generous.ask_token(
        double,
        grant_type=exchange,
        subject_token=generous.token(owned),
        subject_token_type="urn:ietf:params:oauth:token-type:access_token",
    ).json()["access_token"]

    found = [
        generous.http.get(PATH, headers={"Authorization": f"Bearer {token}"}).status_code
        for token in (generous.token(double), exchanged)
    ]
    assert found == [200, 401]
