"""Whose authority a token carries at /admin, /audit, /reports and /console, over real HTTP."""

from typing import Any

import httpx
import pytest

from tests.http.auditor import Auditor, an_auditor
from tests.http.live import INTROSPECT, Live
from tests.http.person import Person, WebClient, a_person, a_web_client, answer
from tests.http.test_device_code import DEVICE_CODE, decide
from tests.waiting import eventually

EXCHANGE = "urn:ietf:params:oauth:grant-type:token-exchange"
ACCESS_TOKEN = "urn:ietf:params:oauth:token-type:access_token"
PATHS = ("/admin/keys", "/admin/clients", "/audit/events", "/audit/keys", "/reports")
MANAGEMENT = "clients:manage audit:read reports:read"
API, OTHER = "https://api.example", "https://other.example"


def here(live: Live) -> str:
    """Return the audience that the metadata names (RFC 9728)."""
    challenge = live.http.get("/admin/keys").headers["www-authenticate"]
    url = challenge.split('resource_metadata="')[1].split('"')[0]
    resource: str = live.http.get(url).json()["resource"]
    return resource


@pytest.fixture(scope="module")
def desk(live: Live) -> WebClient:
    """A client of people that carries the management scopes."""
    return a_web_client(
        live,
        "desk",
        grant_types=["authorization_code", "refresh_token", DEVICE_CODE],
        scopes=["openid", "profile", "offline_access", "user", *MANAGEMENT.split()],
        audiences={"allowed": [live.service.url, API, OTHER, "deputy"]},
    )


def statuses(live: Live, token: str) -> list[int]:
    """Return what each protected path answers to `token`."""
    headers = {"Authorization": f"Bearer {token}"}
    return [live.http.get(path, headers=headers).status_code for path in PATHS]


def give(live: Live, subject: str, *roles: str) -> None:
    """Replace the roles of a person."""
    live.http.put(
        f"/admin/principals/{subject}/roles", headers=live.bearer(), json={"roles": list(roles)}
    ).raise_for_status()


def device_tokens(live: Live, desk: WebClient, person: Person, **asked: str) -> dict[str, Any]:
    """Let a device be approved, and return its tokens."""
    given = desk.post("/oauth/device_authorization", **asked).json()
    decide(person, given["user_code"], "allow")
    tokens: dict[str, Any] = desk.ask(DEVICE_CODE, device_code=given["device_code"]).json()
    return tokens


def test_a_person_without_a_role_administers_nothing(live: Live, desk: WebClient) -> None:
    """Whatever its client carries, and whichever resource it names: not offered, not issued, and
    refused in each place.
    """
    nobody = a_person(live, "without-role", roles=("user", "admin", "anonymous"))
    scope = f"openid user offline_access {MANAGEMENT}"
    page = nobody.open("/oauth/authorize", **desk.parameters(scope=scope, resource=here(live)))
    page = nobody.log_in(page)
    tokens = desk.redeem(answer(nobody.allow(page))["code"]).json()
    unnamed = desk.tokens_from(nobody, scope=scope)
    device = device_tokens(live, desk, nobody, scope=scope, resource=here(live))
    refreshed = desk.refresh(tokens["refresh_token"]).json()

    assert "Act with your permissions" in page.text
    for words in ("Administer this service", "Read the audit trail", "Read reports"):
        assert words not in page.text
    for given in (tokens, unnamed, device, refreshed):
        assert given["scope"] == "user openid offline_access"
        assert set(statuses(live, given["access_token"])) <= {401, 403}
    alone = nobody.open("/oauth/authorize", **desk.parameters(scope=MANAGEMENT))
    assert answer(alone)["error"] == "invalid_scope"


@pytest.mark.parametrize(
    ("roles", "scope", "answers"),
    [
        (("clients:manage",), "clients:manage", [200, 200, 403, 403, 403]),
        (("auditor",), "audit:read reports:read", [403, 403, 200, 200, 200]),
        (tuple(MANAGEMENT.split()), MANAGEMENT, [200] * 5),
    ],
)
def test_a_role_counts_while_it_is_held(
    live: Live, desk: WebClient, roles: tuple[str, ...], scope: str, answers: list[int]
) -> None:
    """It opens what it carries; taken away, it binds the tokens that are there within a moment, at
    use and in introspection, and the next refresh; given back, they are good again.
    """
    subject = f"holder-of-{len(roles)}-{roles[0].replace(':', '-')}"
    person = a_person(live, subject, roles=roles)
    asked = f"openid offline_access {MANAGEMENT}"
    tokens = desk.tokens_from(person, scope=asked, resource=here(live))
    token = tokens["access_token"]
    eventually(lambda: statuses(live, token) == answers)
    told = live.introspect(token, (desk.client_id, desk.secret))["scope"]
    give(live, subject, "user")

    assert tokens["scope"] == f"{scope} openid offline_access"
    assert told == tokens["scope"]
    eventually(lambda: statuses(live, token) == [403] * 5, seconds=2)
    eventually(
        lambda: (
            live.introspect(token, (desk.client_id, desk.secret))["scope"]
            == "openid offline_access"
        )
    )
    assert desk.refresh(tokens["refresh_token"]).json()["scope"] == "openid offline_access"
    give(live, subject, *roles)
    eventually(lambda: statuses(live, token) == answers)


def test_a_refusal_tells_no_cause(live: Live, desk: WebClient) -> None:
    """Whether the token lacks the scope or its person does not hold it reads the same."""
    person = a_person(live, "probing", roles=("clients:manage",))
    held = desk.tokens_from(person, scope="clients:manage")["access_token"]
    other = desk.tokens_from(person, scope="openid", resource=here(live))["access_token"]
    give(live, "probing", "user")

    def body(token: str) -> dict[str, Any]:
        headers = {"Authorization": f"Bearer {token}"}
        answered = live.http.get("/admin/keys", headers=headers).json()
        answered.pop("request_id", None)
        return dict(answered)

    eventually(lambda: body(held) == body(other))
    assert body(held)["error"] == "insufficient_scope"


def test_an_agent_has_no_more_than_its_person(live: Live, desk: WebClient) -> None:
    """Exchanged, a person's token brings management along only with a role; an owned machine's
    does, though both name the same person.
    """
    person = a_person(live, "acted-for", roles=("clients:manage",))
    agent = live.register(
        "deputy", scopes=["clients:manage", "user"], grant_types=["client_credentials", EXCHANGE]
    )
    machine = live.register(
        "owned-machine",
        scopes=["clients:manage"],
        owner="acted-for",
        audiences={"allowed": ["deputy"], "default": ["deputy"]},
    )
    eventually(lambda: all(live.ask_token(one).status_code == 200 for one in (agent, machine)))
    of_person = desk.tokens_from(person, scope="clients:manage", resource="deputy")["access_token"]
    of_machine = live.token(machine)

    def exchanged(token: str) -> httpx.Response:
        return live.ask_token(
            agent,
            grant_type=EXCHANGE,
            subject_token=token,
            subject_token_type=ACCESS_TOKEN,
            audience=here(live),
        )

    with_role = exchanged(of_person).json()["access_token"]
    assert statuses(live, with_role)[0] == 200
    give(live, "acted-for", "user")
    eventually(lambda: statuses(live, with_role)[0] == 403)
    eventually(lambda: exchanged(of_person).json().get("error") == "invalid_scope")
    by_machine = exchanged(of_machine).json()["access_token"]
    assert live.introspect(by_machine, agent)["sub"] == "acted-for"
    assert statuses(live, by_machine)[0] == 200


def test_the_management_audience(live: Live) -> None:
    """The metadata names it, machines that manage have it alone, and no other token will do."""
    metadata = live.http.get("/.well-known/oauth-protected-resource")
    by_path = live.http.get("/.well-known/oauth-protected-resource/management")
    audience = metadata.json()["resource"]
    of_administration = live.introspect(live.token(live.administration), live.administration)
    demo = live.ask_token(resource=audience)
    machine = live.register(
        "managing", scopes=["clients:manage", "mcp"], audiences={"allowed": [live.service.url, API]}
    )
    eventually(lambda: live.ask_token(machine).status_code == 200)
    at_issuer = live.token(machine, resource=live.service.url)
    beside = [
        live.http.post(
            "/oauth/token",
            auth=machine,
            data={"grant_type": "client_credentials", "resource": [audience, other]},
        )
        for other in (live.service.url, API)
    ]

    assert by_path.json() == metadata.json()
    assert audience not in ("", live.service.url)
    assert of_administration["aud"] == audience
    assert demo.json()["error"] == "invalid_target"
    assert statuses(live, at_issuer) == [401] * 5
    assert [one.json()["error"] for one in beside] == ["invalid_target"] * 2
    assert statuses(live, live.token(machine))[0] == 200


def test_openid_makes_no_token_of_ours_for_others(live: Live, desk: WebClient) -> None:
    """With a resource named the token is for that alone; userinfo knows it all the same, and one
    without openid it does not.
    """
    person = a_person(live, "identified")
    pair = (desk.client_id, desk.secret)
    named = desk.tokens_from(person, scope="openid profile user", resource=API)["access_token"]
    unnamed = desk.tokens_from(person, scope="openid user")["access_token"]
    plain = desk.tokens_from(person, scope="user", resource=API)["access_token"]

    def userinfo(token: str) -> httpx.Response:
        return live.http.get("/oauth/userinfo", headers={"Authorization": f"Bearer {token}"})

    assert live.introspect(named, pair)["aud"] == API
    assert live.service.url in live.introspect(unnamed, pair)["aud"]
    assert userinfo(named).json() == {"sub": "identified", "preferred_username": "identified"}
    assert userinfo(unnamed).json() == {"sub": "identified"}
    assert userinfo(plain).status_code == 403
    assert userinfo(live.token()).status_code == 403
    assert "resource_metadata" not in userinfo("x").headers["www-authenticate"]


def test_a_refresh_reaches_no_other_resource(live: Live, desk: WebClient) -> None:
    """Neither where one was bound nor where none was; refused, the refresh token is as it was."""
    person = a_person(live, "refreshing")
    unbound = desk.tokens_from(person, scope="openid offline_access user")
    bound = desk.tokens_from(person, scope="openid offline_access user", resource=OTHER)
    refused = [
        desk.refresh(tokens["refresh_token"], resource=resource)
        for tokens in (unbound, bound)
        for resource in (API, here(live))
    ]
    again = desk.refresh(bound["refresh_token"], resource=OTHER)

    assert [one.json()["error"] for one in refused] == ["invalid_target"] * 4
    assert again.status_code == 200
    assert desk.refresh(unbound["refresh_token"]).status_code == 200


def asked(person: Person, desk: WebClient, **changes: str) -> bool:
    """Tell whether the person is asked to consent."""
    page = person.open("/oauth/authorize", **desk.parameters(**changes))
    if 'action="/login"' in page.text:
        page = person.log_in(page)
    return 'action="/consent"' in page.text


def test_consent_is_to_a_resource_and_a_target(live: Live) -> None:
    """The page names the resource; another one, or another redirect target, is asked about anew,
    and the one of before is remembered; a device counts for itself.
    """
    second = "https://client.example/second"
    shop = a_web_client(
        live,
        "consented",
        grant_types=["authorization_code", "refresh_token", DEVICE_CODE],
        redirects={"redirect_uris": ["https://client.example/callback", second]},
        audiences={"allowed": [live.service.url, API, OTHER]},
    )
    person = a_person(live, "consenting")
    page = person.open("/oauth/authorize", **shop.parameters(scope="user", resource=API))
    page = person.log_in(page)
    assert API in page.text
    assert OTHER not in page.text
    assert "code" in answer(person.allow(page))

    assert not asked(person, shop, scope="user", resource=API)
    assert asked(person, shop, scope="user", resource=OTHER)
    assert asked(person, shop, scope="user")
    assert asked(person, shop, scope="user", resource=API, redirect_uri=second)
    assert asked(person, shop, scope="user mcp", resource=API)
    device_tokens(live, shop, person, scope="user", resource=OTHER)
    assert asked(person, shop, scope="user", resource=OTHER)
    assert not asked(person, shop, scope="user", resource=API)
    account = person.open("/account").text
    assert API in account
    assert OTHER in account


def test_the_device_page_names_the_resource(live: Live, desk: WebClient) -> None:
    """The default where none was named."""
    person = a_person(live, "approving")
    given = desk.post("/oauth/device_authorization", scope="user", resource=OTHER).json()
    page = person.submit(person.open("/device"), "/device", user_code=given["user_code"])
    page = person.log_in(page)

    assert OTHER in page.text


def test_the_console_takes_a_role_that_carries_audit_read(live: Live) -> None:
    """`admin` does not; a role that was given after a login counts from the next; one that was
    taken away counts no more.
    """
    admin = an_auditor(live, "console-admin", roles=("admin", "user"))
    reader = an_auditor(live, "console-reader", roles=("audit:read",))

    assert admin.look("/console").status_code == 403
    assert reader.look("/console").status_code == 200
    give(live, "console-reader", "reports:read")
    eventually(lambda: reader.send("GET", "/console").status_code == 403)
    give(live, "console-admin", "admin", "auditor")

    def opens(auditor: Auditor) -> bool:
        return auditor.look("/console").status_code == 200

    eventually(lambda: opens(admin))


def test_introspection_is_told_by_others_too(live: Live, desk: WebClient) -> None:
    """A resource server that relies on a management scope hears of the role that is gone."""
    server = live.register("reporting", audiences={"serves": [OTHER]})
    eventually(lambda: live.ask_token(server).status_code in (200, 400))
    person = a_person(live, "reported", roles=("auditor", "user"))
    token = desk.tokens_from(person, scope="user audit:read", resource=OTHER)["access_token"]

    def told() -> str:
        answered = live.http.post(INTROSPECT, auth=server, data={"token": token}).json()
        return str(answered["scope"])

    assert told() == "user audit:read"
    give(live, "reported", "user")
    eventually(lambda: told() == "user")


def test_consent_is_to_what_the_page_said(live: Live) -> None:
    """What a role gained while the page was open is asked about first, by the browser and about a
    device.
    """
    shop = a_web_client(
        live,
        "growing",
        grant_types=["authorization_code", DEVICE_CODE],
        scopes=["user", "mcp", "audit:read"],
    )
    person = a_person(live, "growing-person")
    scope = "user audit:read"
    page = person.log_in(person.open("/oauth/authorize", **shop.parameters(scope=scope)))
    given = shop.post("/oauth/device_authorization", scope=scope).json()
    device = person.submit(person.open("/device"), "/device", user_code=given["user_code"])
    give(live, "growing-person", "user", "auditor")

    def offered() -> bool:
        # Each worker has to know of the role.
        again = [person.open("/oauth/authorize", **shop.parameters(scope=scope)) for _ in range(8)]
        return all("Read the audit trail" in one.text for one in again)

    eventually(offered)
    anew = person.allow(page)
    device_anew = person.submit(device, "/device/confirm", decision="allow")
    pending = shop.ask(DEVICE_CODE, device_code=given["device_code"])
    person.submit(device_anew, "/device/confirm", decision="allow")
    tokens = shop.redeem(answer(person.allow(anew))["code"]).json()

    assert "Read the audit trail" not in page.text + device.text
    for shown in (anew, device_anew):
        assert "Read the audit trail" in shown.text
    assert pending.json()["error"] == "authorization_pending"
    assert tokens["scope"] == scope
    assert shop.ask(DEVICE_CODE, device_code=given["device_code"]).json()["scope"] == scope


def test_a_program_is_given_nothing_in_silence(live: Live) -> None:
    """A public client on a loopback port may be any program: the person is asked each time, and
    with prompt=none there is no code (RFC 8252, Section 8.6).
    """
    native = a_web_client(
        live,
        "native-silent",
        client_type="public",
        grant_types=["authorization_code"],
        redirects={"redirect_uris": ["http://127.0.0.1/cb"]},
    )
    person = a_person(live, "native-person")
    first, other = "http://127.0.0.1:51001/cb", "http://127.0.0.1:51002/cb"
    page = person.open("/oauth/authorize", **native.parameters(scope="user", redirect_uri=first))
    allowed = person.allow(person.log_in(page)).headers["location"]
    silent = [
        person.send("GET", "/oauth/authorize", params=parameters).headers["location"]
        for uri in (first, other)
        for parameters in [native.parameters(scope="user", redirect_uri=uri, prompt="none")]
    ]

    assert allowed.startswith(f"{first}?code=")
    assert all("error=consent_required" in location for location in silent)
    assert asked(person, native, scope="user", redirect_uri=other)
