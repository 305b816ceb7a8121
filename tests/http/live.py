"""A running service and the few requests that most tests make of it."""

from dataclasses import dataclass
from typing import Any

import httpx
import psycopg

from projections.status import projection_status
from tests.cli.running_service import RunningService
from tests.waiting import eventually

TOKEN, INTROSPECT, REVOKE = "/oauth/token", "/oauth/introspect", "/oauth/revoke"
FORM = {"grant_type": "client_credentials"}
MAX_AGE = 4
"""Seconds since the login of people, at the protected endpoints of the generous service."""
DETAILS = {
    "payment_initiation": {
        "title": "Make a payment",
        "required": ["instructedAmount", "creditorName"],
        "properties": {
            "instructedAmount": {"type": "object", "title": "Amount"},
            "creditorName": {"type": "string", "title": "To"},
        },
    },
    "account_information": {"title": "Read accounts"},
}
"""The types of authorization details that the generous service knows."""


@dataclass(frozen=True)
class Live:
    """The service under test, asked by a real client over real HTTP."""

    service: RunningService
    http: httpx.Client
    database_url: str

    @property
    def demo(self) -> tuple[str, str]:
        """The demo client's id and secret."""
        return self._client("demo")

    @property
    def administration(self) -> tuple[str, str]:
        """The administration client's id and secret."""
        return self._client("administration")

    def _client(self, name: str) -> tuple[str, str]:
        client = self.service.bootstrap[name]
        return client["client_id"], client["client_secret"]

    def ask_token(self, auth: tuple[str, str] | None = None, **form: str) -> httpx.Response:
        """Ask for a token, as the demo client unless told otherwise."""
        return self.http.post(TOKEN, auth=auth or self.demo, data={**FORM, **form})

    def token(self, auth: tuple[str, str] | None = None, **form: str) -> str:
        """Return an access token."""
        response = self.ask_token(auth, **form)
        assert response.status_code == 200, response.text
        access_token: str = response.json()["access_token"]
        return access_token

    def introspect(self, token: str, auth: tuple[str, str] | None = None) -> dict[str, Any]:
        """Return what introspection says about `token`."""
        response = self.http.post(INTROSPECT, auth=auth or self.demo, data={"token": token})
        assert response.status_code == 200, response.text
        answer: dict[str, Any] = response.json()
        return answer

    def bearer(self) -> dict[str, str]:
        """Return the Authorization header of an administrator."""
        return {"Authorization": f"Bearer {self.token(self.administration)}"}

    def without_scope(self) -> dict[str, str]:
        """Return the Authorization header of a machine whose token is for management, and carries
        no scope that any of it asks for.
        """
        token = self.token(self.administration, scope="reports:read")
        return {"Authorization": f"Bearer {token}"}

    def register(self, client_id: str, **configuration: Any) -> tuple[str, str]:
        """Register a client and return its id and secret (empty for a public client)."""
        response = self.http.post(
            "/admin/clients",
            headers=self.bearer(),
            json={"client_id": client_id, **configuration},
        )
        assert response.status_code == 201, response.text
        return client_id, response.json()["client_secret"] or ""

    def audit(self, **filters: Any) -> list[dict[str, Any]]:
        """Return the audit entries that fit, the newest first, once the read model is complete."""
        eventually(self.projected)
        response = self.http.get(
            "/audit/events",
            headers=self.bearer(),
            params={"newest_first": True, "limit": 1000, **filters},
        )
        assert response.status_code == 200, response.text
        entries: list[dict[str, Any]] = response.json()["entries"]
        return entries

    def projected(self) -> bool:
        """Tell whether the read models lack nothing (/readyz may be half a second behind)."""
        with psycopg.connect(self.database_url) as connection:
            return all(status.lag_events == 0 for status in projection_status().fetch(connection))
