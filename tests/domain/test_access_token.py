"""An access token after it was decided: it is signed, recorded, and may be revoked, once."""

from domain.access_token import AccessToken
from tests.builders import a_token, later
from tests.domain.given import events_of, fact, given

LATER = later(1)


def revoke(token: AccessToken) -> None:
    """Revoke as the client itself."""
    token.revoke(by="reporter", reason="client request", provenance=LATER)


def test_the_record_names_what_is_signed() -> None:
    """TokenIssued is completed with the digests of the signed payloads before it is recorded; all
    other facts stay as they were decided.
    """
    decided, signed = a_token(), a_token()
    signed.sign_as("digest-1")
    signed.sign_id_token_as("digest-2")
    (before,), (after,) = decided.facts(), signed.facts()
    names = ("payload_sha256", "id_payload_sha256")

    assert [getattr(after, name) for name in names] == ["digest-1", "digest-2"]
    assert signed.issued is after
    assert vars(before).keys() == vars(after).keys()
    assert {name for name in vars(before) if vars(before)[name] != vars(after)[name]} == {
        "originator_id",
        *names,
    }


def test_what_is_recorded_is_not_completed() -> None:
    """A token that was handed to the log keeps its record, whatever is signed for it later."""
    token = a_token()
    token.sign_as("digest-1")
    token.facts()
    token.sign_as("digest-2")

    assert token.issued.payload_sha256 == "digest-1"
    assert list(token.facts()) == []


def test_revocation_names_what_it_is_about() -> None:
    """Revocation records who did it and why, with client, subject and session."""
    token = (
        given(*events_of(a_token()))
        .when(revoke)
        .then(
            fact(
                AccessToken.Revoked,
                client_id="reporter",
                subject="reporter",
                session_id="sess_00000000000000000000000000000001",
                by="reporter",
                reason="client request",
                descendants=False,
            ),
            at=LATER,
        )
    )

    assert token.revoked


def test_a_second_revocation_is_no_fact() -> None:
    """Revoking again succeeds (RFC 7009, Section 2.2) and records nothing."""
    given(*events_of(a_token(), revoke)).when(revoke).then_nothing()


def test_descendants_may_be_cut_later() -> None:
    """A token that was revoked alone can still take what descends from it along, once."""
    token = a_token()
    token.revoke(by="reporter", reason="first", provenance=LATER)
    token.revoke(by="reporter", reason="second", provenance=LATER, descendants=True)
    token.revoke(by="reporter", reason="third", provenance=LATER, descendants=True)

    assert token.cut
    assert token.version == 3
