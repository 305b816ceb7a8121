"""Login by an upstream OpenID provider, which is another instance of this very service."""

from pathlib import Path

import httpx

from tests.cli.running_service import free_port, running_service
from tests.http.live import Live
from tests.http.person import PASSWORD, a_person, a_web_client, hidden_fields
from tests.postgres import Postgres


class Browser:
    """Follows redirects between two services, and fills in their forms."""

    def __init__(self, http: httpx.Client, url: str) -> None:
        self._http = http
        self.page = http.get(url)

    def submit(self, path: str, **fields: str) -> None:
        """Send a form of the page that is shown."""
        url = self.page.url.join(path)
        self.page = self._http.post(url, data={**hidden_fields(self.page), **fields})


def test_a_person_of_another_service(live: Live, postgres: Postgres, tmp_path: Path) -> None:
    """Who logs in there is let in here, as a principal that is registered on first use."""
    a_person(live, "upstream-alice")
    port = free_port()
    here = f"http://127.0.0.1:{port}"
    client = a_web_client(
        live,
        "downstream",
        grant_types=["authorization_code"],
        redirects={"redirect_uris": [f"{here}/login/upstream/callback"]},
    )
    settings = {
        "GRANTLEDGER_UPSTREAM_ISSUER": live.service.url,
        "GRANTLEDGER_UPSTREAM_CLIENT_ID": client.client_id,
        "GRANTLEDGER_UPSTREAM_CLIENT_SECRET": client.secret,
        "GRANTLEDGER_UPSTREAM_NAME": "the other one",
        "GRANTLEDGER_UPSTREAM_CREATE": "true",
    }
    with (
        postgres.database() as url,
        running_service(tmp_path, port=port, DATABASE_URL=url, **settings),
        httpx.Client(follow_redirects=True, timeout=20) as http,
    ):
        browser = Browser(http, f"{here}/login")
        assert "Continue with <bdi>the other one</bdi>" in browser.page.text
        browser.submit("/login/upstream")
        assert str(browser.page.url).startswith(live.service.url)
        browser.submit("/login", login="upstream-alice", password=PASSWORD)
        browser.submit("/consent", decision="allow")

        assert str(browser.page.url).startswith(here)
        assert "Your account" in browser.page.text
        assert "up-" in browser.page.text
