"""A signing key that leaked is revoked: within a second no replica publishes or believes it."""

import json
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import httpx
import jwt
import pytest

from api.composition import Service
from application.key_material import generate_private_key
from application.token_keys import TokenKeys
from domain.provenance import Provenance
from tests.application.service import a_signing_key
from tests.builders import NOON
from tests.cli.running_service import run_command, running_service
from tests.http.live import Live
from tests.http.person import a_person, a_web_client
from tests.postgres import Postgres
from tests.waiting import eventually

MANY = 8
"""So many requests, each over a connection of its own, meet both workers."""


@pytest.fixture(scope="module")
def leaking(postgres: Postgres, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Live]:
    """A service with two workers whose keys these tests may revoke."""
    with (
        postgres.database() as url,
        running_service(
            tmp_path_factory.mktemp("leaking"), "--workers", "2", DATABASE_URL=url
        ) as service,
        httpx.Client(base_url=service.url, timeout=20) as http,
    ):
        yield Live(service, http, url)


def _kid(token: str) -> str:
    return str(jwt.get_unverified_header(token)["kid"])


def _published(live: Live) -> set[str]:
    found: set[str] = set()
    for _ in range(MANY):
        with httpx.Client(base_url=live.service.url) as visitor:
            found |= {key["kid"] for key in visitor.get("/oauth/jwks.json").json()["keys"]}
    return found


def _believed(live: Live, token: str) -> bool:
    return any(
        httpx.post(
            f"{live.service.url}/oauth/introspect", auth=live.demo, data={"token": token}
        ).json()["active"]
        for _ in range(MANY)
    )


def _revoked(live: Live, kid: str) -> Any:
    answer = live.http.post(
        f"/admin/keys/{kid}/revoke", headers={**live.bearer(), "X-Change-Reason": "core dump"}
    )
    assert answer.status_code == 200, answer.text
    return answer.json()


def test_its_tokens_are_dead_everywhere(leaking: Live) -> None:
    """Both workers drop the key within a second; its tokens open nothing, and new ones work."""
    token = leaking.token()
    administrator = leaking.bearer()
    shown = _revoked(leaking, _kid(token))

    eventually(lambda: not _believed(leaking, token), seconds=1.5)
    eventually(lambda: _kid(token) not in _published(leaking), seconds=1.5)
    assert shown["state"] == "revoked"
    assert leaking.http.get("/admin/clients", headers=administrator).status_code == 401
    fresh = leaking.token()
    assert _kid(fresh) != _kid(token)
    assert leaking.introspect(fresh)["active"] is True


def test_from_another_process_too(leaking: Live) -> None:
    """The command line revokes for running replicas, which learn of it from the log."""
    token = leaking.token()
    done = run_command(
        *("keys", "revoke", _kid(token), "--reason", "core dump", "--json"),
        *("--data-dir", str(leaking.service.data_dir)),
        DATABASE_URL=leaking.database_url,
    )

    assert json.loads(done.stdout)["state"] == "revoked", done.stderr
    eventually(lambda: not _believed(leaking, token), seconds=2)
    eventually(lambda: _kid(token) not in _published(leaking), seconds=2)


def test_a_forced_rotation_leaves_no_leaked_key_published(leaking: Live) -> None:
    """The key that signed until then is revoked, not only retired."""
    token = leaking.token()
    answer = leaking.http.post("/admin/keys/rotate", headers=leaking.bearer(), json={"force": True})

    assert answer.status_code == 200
    eventually(lambda: _kid(token) not in _published(leaking), seconds=1.5)
    eventually(lambda: not _believed(leaking, token), seconds=1.5)


def test_refresh_tokens_outlive_the_key(leaking: Live) -> None:
    """They are not signed by it: a grant goes on with a token of the next key."""
    person, shop = a_person(leaking, "keeper"), a_web_client(leaking, "keeping")
    tokens = shop.tokens_from(person)
    _revoked(leaking, _kid(tokens["access_token"]))
    refreshed = shop.refresh(tokens["refresh_token"])

    assert refreshed.status_code == 200, refreshed.text
    assert _kid(refreshed.json()["access_token"]) != _kid(tokens["access_token"])


def test_only_administrators_revoke_keys(leaking: Live) -> None:
    """Without the scope the key stays."""
    token = leaking.token()
    answer = leaking.http.post(
        f"/admin/keys/{_kid(token)}/revoke", headers={"Authorization": f"Bearer {token}"}
    )

    assert answer.status_code in (401, 403)
    assert leaking.introspect(token)["active"] is True


def test_an_unknown_key_is_not_found(leaking: Live) -> None:
    """A kid that is mistyped, or is no text that the log holds, revokes nothing."""
    for kid in ("nothing", "%00", "%E2%80%AE"):
        answer = leaking.http.post(f"/admin/keys/{kid}/revoke", headers=leaking.bearer())

        assert answer.status_code in (400, 404), answer.text


def test_the_service_starts_again_with_a_revoked_key(
    postgres: Postgres, tmp_path_factory: pytest.TempPathFactory
) -> None:
    """A restart neither publishes nor needs the private half of a revoked key."""
    folder: Path = tmp_path_factory.mktemp("again")
    with postgres.database() as url:
        with (
            running_service(folder, DATABASE_URL=url) as service,
            httpx.Client(base_url=service.url, timeout=20) as http,
        ):
            live = Live(service, http, url)
            token = live.token()
            _revoked(live, _kid(token))
        with (
            running_service(folder, DATABASE_URL=url) as service,
            httpx.Client(base_url=service.url, timeout=20) as http,
        ):
            live = Live(service, http, url)

            assert _kid(token) not in _published(live)
            assert live.introspect(live.token())["active"] is True


async def test_no_revocation_waits_for_the_key_store() -> None:
    """A key that was revoked verifies nothing while the process still fetches the private half of
    the key that comes after it, which may take seconds.
    """
    private = generate_private_key("ES256")
    key = a_signing_key(private, "ES256")
    following = a_signing_key(generate_private_key("ES256"), "ES256", activated_at=None)
    keys = TokenKeys(issuer="https://auth.example", algorithms=("ES256",))
    verified: list[bool] = []

    class Store:
        async def get(self, _: Any) -> list[Any]:
            verified.append(key.kid in keys._verifiers)
            return []

    process: Any = SimpleNamespace(
        directory=SimpleNamespace(keys=lambda: [key, following]),
        keys=keys,
        key_store=Store(),
        _private={key.kid: private},
        clock=SimpleNamespace(now=lambda: NOON),
    )
    process._use_keys = lambda: Service._use_keys(process)
    process._unwrap_new = lambda known: Service._unwrap_new(process, known)
    await Service.load_keys(process)
    key.revoke(Provenance(NOON, "req_1"))
    await Service.load_keys(process)

    assert verified[1:] == [False]
