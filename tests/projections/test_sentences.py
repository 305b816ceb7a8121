"""Each entry of the audit trail in words."""

from dataclasses import replace

import pytest

from projections.audit_trail import OUTCOMES, AuditEntry
from projections.sentence_templates import TEMPLATES
from projections.sentences import sentence
from tests.projections.example_entries import entries

ENTRIES = entries()
WORDS = {
    "token.issued.v5": "Client reporter was issued an identity assertion (ID-JAG) for owner-1,"
    " used by agent-1 for agent-0 @ https://id.example by grant type refresh_token, scope user,"
    " audience hook, until 2026-03-03 12:10:00Z.",
    "token.issued.v5-sparse": "Client reporter was issued an access token by grant type"
    " client_credentials, scope mcp, audience hook, until 2026-03-03 13:00:00Z.",
    "token.revoked.v2": "Token 019cb391-c2fa-7bd5-9a71-cb94b598a865 of client reporter for owner-1"
    " was revoked by reporter: client request.",
    "grant.denied.v1": "Client reporter was refused 10,000 times at token by grant type"
    " client_credentials with invalid_client: wrong secret, from address-hash.",
    "client.registered.v4-sparse": "Client reporter (Réporter) was registered for"
    ' client_credentials, scopes admin user mcp, by operator-1, because: ticket 7: "né".',
    "client.grant_types_changed.v1": "The grant types of client reporter were set to none,"
    ' by operator-1, because: ticket 7: "né".',
    "client.owner_changed.v1": "The owner of client reporter is now nobody, by operator-1,"
    ' because: ticket 7: "né".',
    "key.retired.v1": "The signing key Zm9vYmFy was retired, its signatures hold until"
    ' 2026-03-04 13:00:00Z, by operator-1, because: ticket 7: "né".',
    "session.started.v2": "owner-1 logged in by pwd, from address-hash.",
    "family.reuse_detected.v1": "A retired refresh token (number 1) of client reporter for owner-1"
    " was presented, from address-hash; the family was revoked.",
    "code.replayed.v1": "The used authorization code of owner-1 was presented again at client"
    " reporter, from address-hash.",
    "consent.given.v2": "owner-1 consented to client reporter, scope user mcp,"
    " at https://api.example.",
    "client.used.v1": "Client reporter authenticated 42 times, at last at 2026-03-03 12:00:00Z.",
    "audit.read.v2": "auditor-1 through console read events 3 times over http,"
    " asking for client_id=reporter topic=grant.denied.",
    "forged_token.presented.v1": "The signing key Zm9vYmFy signed a token that is not as recorded"
    " in exp, scope: the key has leaked. It was presented 3 times at introspect by client reporter,"
    " from address-hash.",
    "forged_token.presented.v1-sparse": "The signing key Zm9vYmFy signed a token that this service"
    " did not issue: the key has leaked. It was presented at admin.",
}
CALLERS = {
    None: "A caller without a client id",
    "?": "An unregistered client",
    "*": "Many clients",
    "known": "Client known",
}


def test_every_topic_has_its_words() -> None:
    """No topic of the audit trail is without a template, and no template without a topic."""
    assert set(TEMPLATES) == set(OUTCOMES)


@pytest.mark.parametrize("entry", ENTRIES.values(), ids=ENTRIES)
def test_every_event_reads_as_a_sentence(entry: AuditEntry) -> None:
    """The golden example of each event is one sentence, with every fact that it names filled in."""
    said = sentence(entry)

    assert said.endswith(".")
    assert not set("{}[]") & set(said)
    assert "(unknown)" not in said


@pytest.mark.parametrize("name", WORDS)
def test_events_in_words(name: str) -> None:
    """What stands in the record is what the sentence says."""
    assert sentence(ENTRIES[name]) == WORDS[name]


@pytest.mark.parametrize("client_id", CALLERS, ids=str)
def test_a_refused_caller_may_have_no_name(client_id: str | None) -> None:
    """Refusals of nobody, of an unregistered client and of many are told apart."""
    denied = replace(ENTRIES["grant.denied.v1"], client_id=client_id)

    assert sentence(denied).startswith(f"{CALLERS[client_id]} was refused")


def test_a_name_cannot_drive_a_terminal() -> None:
    """Control characters and marks of direction become question marks, braces stay as they are."""
    entry = replace(ENTRIES["consent.given.v2"], subject="\x1b[2J\u202e\n{jti}[x]")

    words = "?[2J??{jti}[x] consented to client reporter, scope user mcp, at https://api.example."
    assert sentence(entry) == words


def test_a_sentence_has_an_end() -> None:
    """A fact of any length takes no more than its place."""
    entry = replace(ENTRIES["consent.given.v2"], subject="a" * 5000)

    assert len(sentence(entry)) < 300


def test_an_entry_without_facts_is_a_sentence() -> None:
    """Whatever is absent from an entry, there is a sentence."""
    bare = replace(ENTRIES["audit.read.v2"], actor=None, detail={})

    assert sentence(bare) == "(unknown) read (unknown)."
