"""--as-of, `token show`, `family show` and `diff` answer as the service stood then."""

import json
from datetime import UTC, datetime, timedelta

import psycopg
import pytest

from domain.provenance import Origin, Provenance
from domain.refresh_token_family import FamilyTerms, IssuedToken, RefreshTokenFamily
from tests.builders import a_client, stream_id
from tests.cli.in_process import CommandLine
from tests.projections.recording import Recording, token_now

UNKNOWN = "0197a2b4-6c1e-7d3f-8a55-0f3e2d1c4b6a"


def _log(cli: CommandLine) -> Recording:
    return Recording(cli.environment["GRANTLEDGER_DATABASE_URL"])


def _head(cli: CommandLine) -> tuple[str, str]:
    """Return the last position of the log, and the moment: both name what there is by now."""
    with psycopg.connect(cli.environment["GRANTLEDGER_DATABASE_URL"]) as connection:
        row = connection.execute(
            "SELECT max(position)::text, clock_timestamp() FROM grantledger.events"
        ).fetchone()
        assert row is not None
        return row[0], row[1].astimezone(UTC).isoformat()


def _family(log: Recording) -> RefreshTokenFamily:
    """Record a family that was rotated, retried, and then met a copy; return it."""
    now = datetime.now(UTC)
    terms = FamilyTerms(
        client_id="reporter",
        subject="owner-1",
        session_id="sess_1",
        scope=("user",),
        audience=("https://api.example",),
        authenticated_at=now,
        lifetime=30 * 86_400,
        idle_lifetime=86_400,
        grace=10,
    )
    token = IssuedToken("jti-1", now + timedelta(hours=1))
    then = Provenance(now, "req_1")
    family = RefreshTokenFamily.start(
        stream_id(now), terms, pepper_id="p1", token=token, provenance=then
    )
    family.rotate(pepper_id="p1", token=token, provenance=then)
    family.retry(token=token, provenance=then)
    log.record(family)
    family.detect_reuse(1, origin=Origin("copied-from", "agent"), provenance=then)
    log.record(family)
    return family


def test_client_as_of(cli: CommandLine) -> None:
    """A client is shown as it was configured, by position and by moment, as it was shown then."""
    cli.succeed("client", "create", "batch", "--scope", "mcp service")
    then = cli.json("client", "show", "batch")
    moments = _head(cli)
    cli.succeed("client", "set-scopes", "batch", "mcp")
    cli.succeed("client", "disable", "batch", "--reason", "left")

    for moment in moments:
        assert cli.json("client", "show", "batch", "--as-of", moment) == then
    now = cli.json("client", "show", "batch")
    assert cli.json("client", "show", "batch", "--as-of", "-0s") == now
    assert cli.json("client", "show", "batch", "--as-of", "999999") == now
    assert now["enabled"] is False


def test_lists_as_of(cli: CommandLine) -> None:
    """Lists have who was there, in the state of then; keys likewise."""
    then = {name: cli.json(name, "list") for name in ("client", "principal", "keys")}
    position, moment = _head(cli)
    cli.succeed("client", "create", "later", "--scope", "mcp")
    cli.succeed("principal", "create", "newcomer")
    cli.succeed("principal", "deactivate", "owner")
    cli.succeed("keys", "rotate", "--force")

    for name, listed in then.items():
        assert cli.json(name, "list", "--as-of", position) == listed
        assert cli.json(name, "list", "--as-of", moment) == listed
        assert cli.json(name, "list", "--as-of=-0s") == cli.json(name, "list") != listed
    assert cli.json("principal", "show", "owner", "--as-of", position)["active"] is True
    assert cli.json("client", "list", "--as-of", "-90d") == []


def test_position_and_moment_are_told(unchanged: CommandLine) -> None:
    """Standard error says which position and moment the answer is about."""
    told = unchanged.run("client", "list", "--as-of", "1").stderr

    assert told.startswith("as of position 1 (")
    assert "), made " in told


def test_token_show(cli: CommandLine) -> None:
    """A token is live until it is revoked, and void things say why; by position, each as it was."""
    with _log(cli) as log:
        client = a_client()
        log.record(client)
        token = token_now(client)
        issued = log.record(token)
        cli.succeed("client", "disable", "reporter")
        suspended, _ = _head(cli)
        token.revoke(by="admin", reason="leaked", provenance=Provenance(datetime.now(UTC), "req"))
        log.record(token)
    show = ("token", "show", str(token.id))

    live = cli.json(*show, "--as-of", str(issued))
    assert (live["state"], live["because"], live["position"]) == ("live", None, issued)
    assert (live["client_version"], live["lineage"]) == (1, [])
    waiting = cli.json(*show, "--as-of", suspended)
    assert (waiting["state"], waiting["because"]) == ("suspended", "client reporter")
    now = cli.json(*show)
    assert (now["state"], now["revoked_by"], now["revoked_why"]) == ("revoked", "admin", "leaked")
    assert "why=leaked" in cli.succeed(*show)
    assert "suspended (client reporter)" in cli.succeed(*show, "--as-of", suspended)


def test_family_show(cli: CommandLine) -> None:
    """The timeline has every generation, retry and reuse, up to the moment that was asked for."""
    with _log(cli) as log:
        family = _family(log)
    before, _ = _head(cli)
    shown = cli.json("family", "show", family.family_id)

    topics = [event["what"] for event in shown["timeline"]]
    assert topics == [
        "family.started",
        "family.rotated",
        "family.rotation_retried",
        "family.reuse_detected",
    ]
    assert (shown["state"], shown["timeline"][-1]["presented"]) == ("revoked", 1)
    earlier = cli.json("family", "show", family.family_id, "--as-of", str(int(before) - 1))
    assert (earlier["state"], len(earlier["timeline"])) == ("live", 3)
    assert "reuse_detected" in cli.succeed("family", "show", family.family_id)


def test_diff_client(cli: CommandLine) -> None:
    """Each field that differs is told with the acts that changed it, by whom and why."""
    cli.succeed("client", "create", "batch", "--scope", "mcp service")
    first, _ = _head(cli)
    cli.succeed("client", "set-scopes", "batch", "mcp", "--reason", "REQ-7")
    cli.succeed("client", "disable", "batch")
    cli.succeed("client", "enable", "batch")
    found = cli.json("diff", "client", "batch", first)

    (change,) = found["fields"]
    assert change["field"] == "scopes"
    assert (change["before"], change["after"]) == (["service", "mcp"], ["mcp"])
    assert [act["topic"] for act in found["acts"]] == [
        "client.scopes_changed",
        "client.disabled",
        "client.enabled",
    ]
    assert change["positions"] == [found["acts"][0]["position"]]
    assert found["acts"][0]["why"] == "REQ-7"
    assert [act["fields"] for act in found["acts"][1:]] == [["enabled"], ["enabled"]]
    assert found["existed"] is True


def test_diff_from_nothing(cli: CommandLine) -> None:
    """What did not exist at the first moment is told from nothing on, secrets by their names."""
    cli.succeed("client", "create", "batch", "--scope", "mcp")
    found = cli.json("diff", "client", "batch", "-90d", "-0s")

    assert found["existed"] is False
    assert {change["before"] for change in found["fields"]} == {None}
    assert any(change["field"].startswith("secrets.") for change in found["fields"])
    assert "gls_" not in json.dumps(found)
    assert "not there yet at the first" in cli.run("diff", "client", "batch", "-12h").stderr


def test_diff_table(cli: CommandLine) -> None:
    """The tables name fields and acts; where nothing happened there is nothing."""
    cli.succeed("principal", "create", "bob", "--role", "user")
    first, _ = _head(cli)
    assert cli.succeed("diff", "principal", "bob", first) == ""

    cli.succeed("principal", "roles", "bob", "admin", "--reason", "HR-1")
    shown = cli.succeed("diff", "principal", "bob", first)
    assert "roles" in shown
    assert "principal.roles_assigned" in shown
    assert "HR-1" in shown


@pytest.mark.parametrize(
    ("arguments", "code", "line"),
    [
        (("client", "show", "demo", "--as-of", "0"), 1, "no such client at that moment: demo"),
        (("client", "show", "nobody", "--as-of", "-0s"), 1, "at that moment: nobody"),
        (("principal", "show", "owner", "--as-of", "-90d"), 1, "at that moment: owner"),
        (("token", "show", UNKNOWN), 1, "there was no such token"),
        (("family", "show", UNKNOWN, "--as-of", "3"), 1, "there was no such family"),
        (("diff", "client", "nobody", "-1d"), 1, "there was no client nobody"),
        (("diff", "client", "demo", "-2d", "-1d"), 1, "there was no client demo"),
        (("diff", "principal", "nobody", "0"), 1, "there was no principal nobody"),
    ],
)
def test_unknown(unchanged: CommandLine, arguments: tuple[str, ...], code: int, line: str) -> None:
    """What did not exist at that moment is refused in one line."""
    assert line in unchanged.refused(*arguments, code=code)


@pytest.mark.parametrize(
    ("arguments", "line"),
    [
        (("client", "list", "--as-of", "yesterday"), "'yesterday': a moment such as"),
        (("keys", "list", "--as-of", "9" * 30), "the log has no such position"),
        (("token", "show", "no-jti"), "not a valid UUID"),
        (("diff", "client", "demo", "soon"), "'soon': a moment such as"),
        (("diff", "client", "demo", "-1d", "-2d"), "ask the other way round"),
        (("diff", "client", "demo", "3", "1"), "ask the other way round"),
        (("diff", "client", "demo"), "Missing argument"),
    ],
)
def test_wrong_usage(unchanged: CommandLine, arguments: tuple[str, ...], line: str) -> None:
    """Moments that cannot be read, and those the wrong way round, are wrong usage."""
    result = unchanged.run(*arguments)

    assert result.exit_code == 2
    assert line in " ".join(result.output.split())
