"""What an auditor or administrator read is in the record: whole, and whichever way they took."""

from collections.abc import Mapping
from typing import Any

import pytest

from api.console.routes import TAKES
from tests.http.auditor import Auditor, an_auditor
from tests.http.live import Live
from tests.waiting import eventually

NOBODY = "0197a2b4-6c1e-7d3f-8a55-0f3e2d1c4b6a"
WITHIN_SECONDS = 15
"""Until what was counted is recorded: this service counts for two seconds."""


@pytest.fixture(scope="module")
def reader(live: Live) -> tuple[str, Mapping[str, str]]:
    """A client that may read and administer, and what it sends to show that."""
    client = live.register("curious", scopes=["audit:read", "clients:manage"])
    return client[0], {"Authorization": f"Bearer {live.token(client)}"}


@pytest.fixture(scope="module")
def auditor(live: Live) -> Auditor:
    """A person who is logged in to the console."""
    found = an_auditor(live, "curious-person")
    assert found.look("/console").status_code == 200
    return found


def read_by(live: Live, who: str) -> list[tuple[str, str]]:
    """Return what `who` read, by the record: the route and the parameters, as a query string."""
    return [
        (entry["detail"]["what"], parameters)
        for entry in live.audit(topic="audit.read", actor=who)
        for parameters in entry["detail"]["parameters"] or [""]
    ]


def lacking(live: Live, who: str, expected: list[tuple[str, str]]) -> list[Any]:
    """Return what of `expected` is not in the record of what `who` read."""
    found = read_by(live, who)
    return [one for one in expected if one not in found]


def test_every_way_to_read_leaves_a_trace(
    live: Live, reader: tuple[str, Mapping[str, str]]
) -> None:
    """Reads below /admin, /audit and /reports are recorded with the route and all that was asked,
    also where nothing was found, and an event stream and lines as well.
    """
    who, headers = reader
    asked: list[tuple[str, str, str]] = [
        ("/admin/clients", "/admin/clients", ""),
        ("/admin/clients/demo", "/admin/clients/{client_id}", "client_id=demo"),
        ("/admin/clients/%2564emo", "/admin/clients/{client_id}", "client_id=demo"),
        ("/admin/principals", "/admin/principals", ""),
        ("/admin/principals/nobody", "/admin/principals/{subject}", "subject=nobody"),
        (
            "/admin/sessions?subject=alice&alive=false&limit=3",
            "/admin/sessions",
            "alive=false&limit=3&subject=alice",
        ),
        ("/admin/sessions/sess_1", "/admin/sessions/{session_id}", "session_id=sess_1"),
        ("/admin/issuers", "/admin/issuers", ""),
        ("/admin/registration-tokens", "/admin/registration-tokens", ""),
        ("/admin/keys", "/admin/keys", ""),
        (f"/audit/tokens/{NOBODY}", "/audit/tokens/{token_id}", f"token_id={NOBODY}"),
        (
            f"/audit/tokens/{NOBODY.upper()}/lineage",
            "/audit/tokens/{token_id}/lineage",
            f"token_id={NOBODY}",
        ),
        (
            "/audit/clients/demo/diff?from=1&to=2",
            "/audit/clients/{client_id}/diff",
            "client_id=demo&from=1&to=2",
        ),
        (
            "/reports/live-tokens?subject=alice&most=5",
            "/reports/{report_name}",
            "report_name=live-tokens&most=5&subject=alice",
        ),
        ("/audit/events?subject=alice&limit=2", "/audit/events", "limit=2&subject=alice"),
    ]
    for path, _, _ in asked:
        assert live.http.get(path, headers=headers).status_code in (200, 404)
    lines = live.http.get(
        "/audit/events?subject=bob", headers={**headers, "Accept": "application/x-ndjson"}
    )
    with live.http.stream(
        "GET", "/audit/events/follow?topic=none", headers={**headers, "Last-Event-ID": "1"}
    ) as following:
        assert (lines.status_code, following.status_code) == (200, 200)
    expected = [(what, parameters) for _, what, parameters in asked]
    expected.append(("/audit/events", "format=ndjson&subject=bob"))
    expected.append(("/audit/events/follow", "last-event-id=1&topic=none"))

    eventually(lambda: lacking(live, who, expected) == [], seconds=WITHIN_SECONDS)


def test_what_hid_a_read_does_so_no_more(live: Live, reader: tuple[str, Mapping[str, str]]) -> None:
    """Twelve reads of a minute are twelve in the record; the end of a long value is in it; of a
    repeated parameter neither value is read.
    """
    who, headers = reader
    subjects = [f"hidden-{number}" for number in range(12)]
    for subject in subjects:
        answer = live.http.get("/audit/events", headers=headers, params={"subject": subject})
        assert answer.status_code == 200
    long = "x" * 500 + "alice"
    assert live.http.get(f"/audit/clients/{long}/last-used", headers=headers).status_code == 200
    twice = live.http.get("/audit/events?subject=harmless&subject=alice", headers=headers)
    repeated = live.http.get("/reports/live-tokens?subject=a&subject=b", headers=headers)

    wanted = [("/audit/events", f"subject={subject}") for subject in subjects]
    wanted.append(("/audit/clients/{client_id}/last-used", f"client_id={long}"))

    eventually(lambda: lacking(live, who, wanted) == [], seconds=WITHIN_SECONDS)
    for refused in (twice, repeated):
        assert refused.status_code == 400
        assert refused.json()["error_description"] == "subject is given more than once"


@pytest.mark.parametrize(
    ("method", "path", "said"),
    [
        ("GET", "/audit/events?subjct=x", "did you mean subject?"),
        ("GET", "/audit/events/follow?limit=1", "limit is no parameter of this request: "),
        ("GET", "/audit/keys?asof=1", "did you mean as_of?"),
        ("GET", "/audit/tokens/{}/state?as-of=1", "did you mean as_of?"),
        ("GET", "/reports?x=1", "x is no parameter of this request, which takes none"),
        ("GET", "/reports/live-tokens?clientid=a", "no parameter clientid; there are: client_id"),
        ("GET", "/admin/clients?owner=a", "which takes none"),
        ("GET", "/admin/sessions?subjects=a", "did you mean subject?"),
        ("POST", "/admin/keys/rotate?force=true", "which takes none"),
        ("PATCH", "/admin/clients/demo?enabled=false", "which takes none"),
    ],
)
def test_unknown_parameters_are_refused(
    live: Live, reader: tuple[str, Mapping[str, str]], method: str, path: str, said: str
) -> None:
    """An unknown parameter is refused by name, with the nearest that there is."""
    body: Any = {} if method != "GET" else None
    answer = live.http.request(method, path.format(NOBODY), headers=reader[1], json=body)

    assert answer.status_code == 400
    assert answer.json()["error"] == "invalid_request"
    assert said in answer.json()["error_description"]


def test_the_oauth_endpoints_go_on_ignoring_unknown_parameters(live: Live) -> None:
    """RFC 6749, Section 3.2: "The authorization server MUST ignore unrecognized request
    parameters".
    """
    assert live.ask_token(unheard_of="1").status_code == 200


def test_every_page_of_the_console_refuses_what_it_does_not_take(auditor: Auditor) -> None:
    """Each page refuses an unknown parameter, and one that is given twice, even of those that the
    OAuth endpoints let repeat.
    """
    for path in TAKES:
        named = path.replace("{name:str}", "live-tokens" if "reports" in path else NOBODY)
        unknown = auditor.send("GET", f"{named}?sbject=x")
        several = auditor.send("GET", f"{named}?audience=a&audience=b")

        assert (unknown.status_code, several.status_code) == (400, 400), path
        assert "sbject is no parameter of this request" in unknown.text.lower(), path


def test_a_filter_of_a_report_counts_on_the_console(live: Live, auditor: Auditor) -> None:
    """`audience` narrows the report: it was left out of the question, and recorded as if it were
    not, for at the OAuth endpoints it may come more than once.
    """
    live.token()
    query = "run=1&audience=https://nowhere.example&format=json"
    answer = auditor.send("GET", f"/console/reports/live-tokens?{query}")

    assert answer.json()["parameters"]["audience"] == "https://nowhere.example"
    assert answer.json()["rows"] == []


def test_pages_of_the_console_leave_traces(live: Live, auditor: Auditor) -> None:
    """Whatever page is opened is recorded with what it is about, the search by any id included; an
    id as it is understood, however it is spelled.
    """
    who = f"{auditor.login} through grantledger-console"
    asked = {
        "/console/find?q=alice": ("/console/find", "q=alice"),
        "/console/clients?q=de": ("/console/clients", "q=de"),
        "/console/clients/%2564emo?version=1": (
            "/console/clients/{name}",
            "name=demo&version=1",
        ),
        f"/console/tokens/%7B{NOBODY.upper()}%7D": (
            "/console/tokens/{name}",
            f"name={NOBODY}",
        ),
        f"/console/search?jti={NOBODY.upper()}": ("/console/search", f"jti={NOBODY}"),
        "/console/tail?after=0": ("/console/tail", "after=0"),
        "/console/reports/live-tokens?run=1&audience=a": (
            "/console/reports/{name}",
            "name=live-tokens&audience=a&run=1",
        ),
    }
    for path in asked:
        assert auditor.send("GET", path).status_code in (200, 303, 404), path

    eventually(lambda: lacking(live, who, list(asked.values())) == [], seconds=WITHIN_SECONDS)
