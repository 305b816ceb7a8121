"""The profile fapi2 over HTTP: what it demands works, and what it forbids is refused."""

import json
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import httpx
import jwt
import pytest

from tests.application.dpop_key import DpopKey
from tests.application.people.upstream_provider import SigningKey
from tests.cli.running_service import RunningService, free_port, run_command
from tests.http.live import TOKEN, Live
from tests.http.person import CALLBACK, PASSWORD, Person, WebClient
from tests.http.test_private_key_jwt import a_proof
from tests.postgres import Postgres
from tests.waiting import eventually

PAR = "/oauth/par"


class Bank:
    """A service of the profile, and a client "fintech" with a key for itself and one for tokens."""

    def __init__(self, live: Live, environment: dict[str, str]) -> None:
        self.live = live
        self.environment = environment
        self.key = SigningKey.make("ES256")
        self.tokens_key = DpopKey()
        self.web = WebClient(live, "fintech")

    def command(self, *arguments: str, stdin: str = "") -> Any:
        """Run a command of the operator."""
        return run_command(
            *arguments, "--data-dir", self.environment["dir"], stdin=stdin, **self.settings
        )

    @property
    def settings(self) -> dict[str, str]:
        """What the service was started with."""
        return {name: value for name, value in self.environment.items() if name.isupper()}

    def post(self, path: str, form: dict[str, str], *, dpop: bool = True) -> httpx.Response:
        """Send a form as the client, with an assertion and a proof."""
        assertion = a_proof(self.live, self.key, "fintech")
        del assertion["grant_type"]
        url = f"{self.live.service.url}{path}"
        headers = {"DPoP": self.tokens_key.proof(url, datetime.now(UTC))} if dpop else {}
        return self.live.http.post(path, headers=headers, data={**assertion, **form})

    def machine(self, **options: Any) -> httpx.Response:
        """Ask for a token of its own."""
        return self.post(TOKEN, {"grant_type": "client_credentials", "scope": "mcp"}, **options)

    def tokens(self, person: Person) -> dict[str, Any]:
        """Push a request, let the person log in and allow, and redeem the code."""
        pushed = self.post(PAR, self.web.parameters(client_id=None))
        assert pushed.status_code == 201, pushed.text
        page = person.open(
            "/oauth/authorize", client_id="fintech", request_uri=pushed.json()["request_uri"]
        )
        if 'action="/login"' in page.text:
            page = person.log_in(page)
        if 'action="/consent"' in page.text:
            page = person.allow(page)
        code = httpx.URL(page.headers["location"]).params["code"]
        redeemed = self.post(
            TOKEN,
            {
                "grant_type": "authorization_code",
                "code": code,
                "code_verifier": self.web.verifier,
                "redirect_uri": CALLBACK,
            },
        )
        assert redeemed.status_code == 200, redeemed.text
        tokens: dict[str, Any] = redeemed.json()
        return tokens


@pytest.fixture(scope="module")
def bank(postgres: Postgres, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Bank]:
    """A running service with the client registered by the operator."""
    folder: Path = tmp_path_factory.mktemp("fapi2")
    with postgres.database() as url:
        port = free_port()
        issuer = f"http://127.0.0.1:{port}"
        settings = {
            "DATABASE_URL": url,
            "GRANTLEDGER_PROFILE": "fapi2",
            "GRANTLEDGER_ISSUER": issuer,
        }
        service = RunningService(folder, port, **settings)
        try:
            eventually(lambda: "answers on" in service.output, seconds=60)
            with httpx.Client(base_url=service.url, timeout=20) as http:
                bank = Bank(Live(service, http, url), {**settings, "dir": str(folder)})
                register(bank, folder)
                yield bank
        finally:
            service.process.terminate()
            service.process.wait(20)


def register(bank: Bank, folder: Path) -> None:
    """Make the client and a person known, by the command line."""
    keys = folder / "keys.json"
    keys.write_text(json.dumps(bank.key.published))
    grants = ("authorization_code", "refresh_token", "client_credentials")
    scopes = ("openid", "offline_access", "user", "mcp")
    created = bank.command(
        *("client", "create", "fintech", "--jwks", str(keys), "--redirect-uri", CALLBACK),
        *(word for grant in grants for word in ("--grant-type", grant)),
        *(word for scope in scopes for word in ("--scope", scope)),
    )
    assert created.returncode == 0, created.stderr
    assert bank.command("principal", "create", "fapi-alice", "--role", "user").returncode == 0
    login = bank.command(
        *("principal", "set-login", "fapi-alice", "--login", "fapi-alice"),
        "--password-stdin",
        stdin=PASSWORD,
    )
    assert login.returncode == 0, login.stderr
    eventually(lambda: bank.machine().status_code == 200)


def test_bound_tokens_by_private_key_jwt(bank: Bank) -> None:
    """A client with a key, and a proof of another, gets a bound token; without a proof none."""
    without = bank.machine(dpop=False)

    assert bank.machine().json()["token_type"] == "DPoP"
    assert (without.status_code, without.json()["error"]) == (400, "invalid_dpop_proof")


def test_a_person_logs_in_and_refresh_tokens_stay(bank: Bank) -> None:
    """Pushed request, code, tokens; a refresh gives a new access token and the same refresh token,
    however often, for refresh tokens are not rotated in this profile.
    """
    tokens = bank.tokens(Person(bank.live, "fapi-alice"))
    refresh = {"grant_type": "refresh_token", "refresh_token": tokens["refresh_token"]}
    refreshed = [bank.post(TOKEN, refresh) for _ in range(3)]

    assert [answer.status_code for answer in refreshed] == [200] * 3
    assert {answer.json()["refresh_token"] for answer in refreshed} == {tokens["refresh_token"]}
    assert len({answer.json()["access_token"] for answer in refreshed}) == 3
    assert {answer.json()["token_type"] for answer in refreshed} == {"DPoP"}


def test_requests_are_pushed(bank: Bank) -> None:
    """An authorization request in the browser's URL is refused."""
    page = Person(bank.live, "fapi-alice").open("/oauth/authorize", **bank.web.parameters())

    assert "error=invalid_request" in page.headers["location"]


@pytest.mark.parametrize(
    ("description", "changes", "error"),
    [
        ("no PKCE", {"code_challenge": None, "code_challenge_method": None}, "invalid_request"),
        ("plain PKCE", {"code_challenge_method": "plain"}, "invalid_request"),
        ("no redirect URI", {"redirect_uri": None}, "invalid_request"),
        ("an implicit answer", {"response_type": "token"}, "unsupported_response_type"),
    ],
)
def test_pushed_requests_that_are_refused(
    bank: Bank, description: str, changes: dict[str, Any], error: str
) -> None:
    """FAPI 2.0, Section 5.3.2.2: what a pushed request must have, and the code alone."""
    answered = bank.post(PAR, bank.web.parameters(client_id=None, **changes))

    assert (answered.status_code, answered.json()["error"]) == (400, error)


def test_metadata_offers_nothing_else(bank: Bank) -> None:
    """Methods and algorithms of the profile alone."""
    metadata = bank.live.http.get("/.well-known/oauth-authorization-server").json()

    assert metadata["require_pushed_authorization_requests"] is True
    assert "private_key_jwt" in metadata["token_endpoint_auth_methods_supported"]
    forbidden = {"none", "client_secret_basic", "client_secret_post", "RS256"}
    for name, offered in metadata.items():
        if name.endswith(("_methods_supported", "_alg_values_supported")):
            assert forbidden.isdisjoint(offered), name


@pytest.mark.parametrize(
    "options",
    [
        ("--public", "--grant-type", "authorization_code", "--redirect-uri", CALLBACK),
        ("--auth-method", "client_secret_basic"),
        (),
    ],
    ids=["public", "by a secret", "by default"],
)
def test_no_other_client_is_registered(bank: Bank, options: tuple[str, ...]) -> None:
    """Public clients, and those with secrets, could not be used: the operator is told."""
    done = bank.command("client", "create", "weak", "--scope", "mcp", *options)

    assert done.returncode != 0
    assert "this deployment takes" in done.stderr


@pytest.mark.parametrize(
    "audience",
    [lambda url: [url], lambda url: f"{url}/oauth/token"],
    ids=["a list", "the endpoint"],
)
def test_an_assertion_names_the_issuer_as_text(bank: Bank, audience: Any) -> None:
    """`aud` of an assertion is the issuer, as a string, and nothing else."""
    now = int(datetime.now(UTC).timestamp())
    private: Any = bank.key.private
    assertion = jwt.encode(
        {
            "iss": "fintech",
            "sub": "fintech",
            "aud": audience(bank.live.service.url),
            "exp": now + 60,
            "jti": str(now),
        },
        private,
        algorithm="ES256",
        headers={"kid": bank.key.kid},
    )
    sent = {**a_proof(bank.live, bank.key, "fintech"), "client_assertion": assertion}
    answered = bank.live.http.post(TOKEN, data=sent)

    assert (answered.status_code, answered.json()["error"]) == (401, "invalid_client")


@pytest.mark.parametrize(
    ("setting", "value"),
    [
        ("SIGNING_ALGORITHMS", "ES256,RS256"),
        ("VERIFICATION_ALGORITHMS", "RS256"),
        ("CLIENT_AUTH_METHODS", "private_key_jwt,client_secret_basic"),
        ("CLIENT_AUTH_METHODS", "none"),
        ("SENDER_CONSTRAINED_TOKENS", "false"),
        ("ROTATE_CONFIDENTIAL", "true"),
        ("REQUIRE_PUSHED_REQUESTS", "false"),
        ("CLIENT_ASSERTION_TOKEN_ENDPOINT", "true"),
    ],
)
def test_settings_that_the_profile_forbids(
    bank: Bank, tmp_path: Path, setting: str, value: str
) -> None:
    """A setting beside the profile that contradicts it stops the start, with its name."""
    name = f"GRANTLEDGER_{setting}"
    given = {**bank.settings, name: value}
    done = run_command("serve", "--data-dir", str(tmp_path), **given)

    assert done.returncode != 0
    assert f"{name}: the profile fapi2 forbids this value" in done.stderr
