"""A person in front of the console, with a browser that follows every redirect within it."""

from urllib.parse import urlsplit

import httpx

from tests.http.live import Live
from tests.http.person import PASSWORD, Person, a_person, hidden_fields

COOKIE = "grantledger_console"


class Auditor(Person):
    """Somebody who may read the audit trail, or would like to."""

    def look(self, path: str, **parameters: str) -> httpx.Response:
        """Open a page of the console and log in to it where it asks for that."""
        return self.follow(self.send("GET", path, params=parameters or None))

    def follow(self, response: httpx.Response, *, until: str = "\0") -> httpx.Response:
        """Follow redirects to this service, log in and consent on the way, stop before `until`."""
        while True:
            if response.status_code == 303:
                where = response.headers["location"].removeprefix(self.live.service.url)
                if not where.startswith("/") or where.startswith(until):
                    return response
                response = self.send("GET", where)
            elif 'action="/login"' in response.text:
                fields = {"login": self.login, "password": PASSWORD}
                response = self.send("POST", "/login", data={**hidden_fields(response), **fields})
            elif 'action="/consent"' in response.text:
                yes = {**hidden_fields(response), "decision": "allow"}
                response = self.send("POST", "/consent", data=yes)
            else:
                return response

    def callback(self, path: str = "/console/login") -> str:
        """Log in up to the answer of the authorization endpoint, and return that unused."""
        answered = self.follow(self.send("GET", path), until="/console/callback")
        parts = urlsplit(answered.headers["location"])
        return f"{parts.path}?{parts.query}"

    def copy(self) -> "Auditor":
        """Return somebody with a copy of all cookies of this browser."""
        thief = Auditor(self.live, self.login)
        thief.cookies.update(self.cookies)
        return thief


def an_auditor(live: Live, subject: str, *, roles: tuple[str, ...] = ("auditor",)) -> Auditor:
    """Register a principal that may use the console."""
    return Auditor(live, a_person(live, subject, roles=roles).login)
