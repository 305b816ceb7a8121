"""Another password ends what was begun with the old one, and says so."""

import subprocess
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import httpx
import psycopg
import pytest

from tests.cli.running_service import run_command
from tests.http.live import Live
from tests.http.person import PASSWORD, Person, WebClient, a_person, a_web_client
from tests.waiting import eventually

NEW = "another good long password"


@pytest.fixture(scope="module")
def shop(live: Live) -> WebClient:
    """A client of people."""
    return a_web_client(live, "password-shop")


def is_in(person: Person) -> bool:
    """Tell whether a browser is logged in."""
    return "Your account" in person.open("/account").text


def holds(live: Live, shop: WebClient, tokens: dict[str, Any]) -> bool:
    """Tell whether tokens of the shop work."""
    basic = (shop.client_id, shop.secret)
    return bool(live.introspect(tokens["access_token"], basic)["active"])


def test_a_changed_password_ends_the_other_sessions(live: Live, shop: WebClient) -> None:
    """Everything that was logged in ends, its refresh tokens and copies of this very cookie too;
    the browser that changed it goes on with what it had.
    """
    here = a_person(live, "changed")
    mine = shop.tokens_from(here)
    thief = Person(live, "changed")
    stolen = shop.tokens_from(thief)
    copied = Person(live, "changed")
    copied.cookies = httpx.Cookies(here.cookies)
    page = here.open("/account")
    done = here.submit(page, "/account/password", current=PASSWORD, new=NEW)

    assert "Your other sessions were ended" in done.text
    assert "Another browser or device" not in done.text
    assert [is_in(one) for one in (here, thief, copied)] == [True, False, False]
    assert holds(live, shop, mine)
    assert not holds(live, shop, stolen)
    assert shop.refresh(stolen["refresh_token"]).json()["error"] == "invalid_grant"
    ended = [one for one in live.audit(topic="session.ended") if one["subject"] == "changed"]
    assert [one["reason"] for one in ended] == ["password changed"]


def test_a_first_password_ends_nothing(live: Live) -> None:
    """Who sets a login for the first time is told that no session ended."""
    a_person(live, "first")
    answered = live.http.put(
        "/admin/principals/first/login", headers=live.bearer(), json={"password": NEW}
    )

    assert answered.json()["sessions_ended"] == 0


def test_a_reset_password_ends_the_sessions(live: Live, shop: WebClient) -> None:
    """All of them, and the administrator is told how many."""
    person, other = a_person(live, "reset"), Person(live, "reset")
    tokens = shop.tokens_from(person)
    other.log_in(other.open("/account"))
    answered = live.http.put(
        "/admin/principals/reset/login",
        headers={**live.bearer(), "X-Change-Reason": "it leaked"},
        json={"password": NEW},
    )

    assert (answered.status_code, answered.json()["sessions_ended"]) == (200, 2)
    assert [is_in(person), is_in(other)] == [False, False]
    assert not holds(live, shop, tokens)


def test_a_login_under_way_does_not_outlive_the_old_password(live: Live) -> None:
    """A login with the old password that begins its session after the change has ended the others
    is refused, and its session ends.
    """
    person = a_person(live, "under-way")
    page = person.open("/login")
    log = "SELECT pg_advisory_xact_lock(4714921630517351521)"
    known = "SELECT count(*) FROM grantledger.login_failures WHERE failures = 0"
    changed = "UPDATE grantledger.passwords SET set_at = now() WHERE subject = %s"
    with (
        ThreadPoolExecutor(1) as elsewhere,
        psycopg.connect(live.database_url, autocommit=True) as watch,
    ):
        before = watch.execute(known).fetchone()
        with psycopg.connect(live.database_url) as writer:  # holds up whatever is recorded
            writer.execute(log)
            answered = elsewhere.submit(person.log_in, page)
            # The browser is known now: the password was compared, and the session is left to do.
            eventually(lambda: watch.execute(known).fetchone() != before)
            watch.execute(changed, (person.login,))
        refused = answered.result()

    assert refused.status_code == 401
    assert not is_in(person)
    ended = [one for one in live.audit(topic="session.ended") if one["subject"] == "under-way"]
    assert [one["reason"] for one in ended] == ["what it was begun by was changed meanwhile"]


def by_command(live: Live, *arguments: str, stdin: str = "") -> subprocess.CompletedProcess[str]:
    """Run a command on the database of the service."""
    return run_command(
        "principal",
        *arguments,
        "--data-dir",
        str(live.service.data_dir),
        stdin=stdin,
        DATABASE_URL=live.database_url,
    )


def test_the_command_line_ends_them_too(live: Live) -> None:
    """A password that an operator sets or erases ends the sessions, and the command says so."""
    person = a_person(live, "by-command")
    person.log_in(person.open("/account"))
    reset = by_command(live, "set-login", "by-command", "--password-stdin", stdin=f"{NEW}\n")
    after_reset = is_in(person)
    person.log_in(person.open("/account"), password=NEW)
    forgotten = by_command(live, "forget-login", "by-command")

    assert (reset.returncode, forgotten.returncode) == (0, 0), reset.stderr + forgotten.stderr
    assert "sessions ended: 1" in reset.stderr
    assert "sessions ended: 1" in forgotten.stderr
    assert not after_reset
    eventually(lambda: not is_in(person))


def test_present_passwords_are_counted_right_ones_too(live: Live) -> None:
    """Nobody makes the service hash without end: after five changes the next has to wait."""
    person = a_person(live, "restless")
    page = person.log_in(person.open("/account"))
    statuses = [
        person.submit(page, "/account/password", current=PASSWORD, new=PASSWORD).status_code
        for _ in range(6)
    ]

    assert statuses == [200] * 5 + [429]
