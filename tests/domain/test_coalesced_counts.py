"""ClientUsage, DenialLog and ForgeryLog: coalesced facts whose counts add up."""

from datetime import timedelta

from domain.client_usage import ClientUsage
from domain.denial_log import MANY, Denial, DenialLog
from domain.forgery_log import NOT_RECORDED, Forgery, ForgeryLog, Presentation
from tests.builders import AT_NOON, NOON, later, stream_id
from tests.domain.given import events_of, fact, given

LATER = later(1)
DENIAL = Denial(
    client_id="reporter",
    endpoint="token",
    grant_type="client_credentials",
    error="invalid_client",
    reason="wrong secret",
    address="address-hash",
)


def usage() -> ClientUsage:
    """Return the stream of a client that was first used at noon."""
    return ClientUsage.start(
        stream_id(NOON), client_id="reporter", process="p-1", day="2026-03-03", provenance=AT_NOON
    )


def denials() -> DenialLog:
    """Return the stream of a process whose first refusal was at noon."""
    return DenialLog.start(stream_id(NOON), process="p-1", hour="2026-03-03T12", provenance=AT_NOON)


def test_usage_starts_with_its_day() -> None:
    """The first fact names client, process and day, and counts nothing."""
    stream = (
        given()
        .when(lambda _: usage())
        .then(
            fact(ClientUsage.Started, client_id="reporter", process="p-1", day="2026-03-03"),
            at=AT_NOON,
        )
    )

    assert stream.uses == 0


def test_uses_are_counted_by_endpoint() -> None:
    """One fact carries the uses since the last one: their sum, by endpoint, and the last moment."""
    stream = (
        given(*events_of(usage()))
        .when(
            lambda u: u.used(
                last_at=LATER.occurred_at,
                by_endpoint={"token": 40, "introspect": 2},
                provenance=LATER,
            )
        )
        .then(
            fact(
                ClientUsage.ClientUsed,
                client_id="reporter",
                count=42,
                last_at=LATER.occurred_at,
                by_endpoint={"token": 40, "introspect": 2},
            ),
            at=LATER,
        )
    )

    assert stream.uses == 42


def test_uses_add_up() -> None:
    """Over several facts the stream's total is the sum of their counts."""
    stream = usage()
    for count in (1, 10, 100):
        stream.used(last_at=NOON, by_endpoint={"token": count}, provenance=LATER)

    assert stream.uses == 111


def test_denials_start_with_their_hour() -> None:
    """The first fact names process and hour, and counts nothing."""
    stream = (
        given()
        .when(lambda _: denials())
        .then(fact(DenialLog.Started, process="p-1", hour="2026-03-03T12"), at=AT_NOON)
    )

    assert stream.denials == 0


def test_a_flood_of_one_cause_is_one_fact() -> None:
    """Many refusals of one cause become one fact with their count and their time span."""
    first, last = NOON, NOON + timedelta(seconds=1)

    stream = (
        given(*events_of(denials()))
        .when(
            lambda d: d.deny(DENIAL, count=10_000, first_at=first, last_at=last, provenance=LATER)
        )
        .then(
            fact(
                DenialLog.GrantDenied,
                client_id="reporter",
                endpoint="token",
                grant_type="client_credentials",
                error="invalid_client",
                reason="wrong secret",
                address="address-hash",
                count=10_000,
                first_at=first,
                last_at=last,
            ),
            at=LATER,
        )
    )

    assert stream.denials == 10_000


def test_an_anonymised_denial_keeps_its_cause() -> None:
    """Where there are too many clients and addresses to tell apart the cause stays as it was."""
    anonymous = DENIAL.anonymised()

    assert (anonymous.client_id, anonymous.address) == (MANY, MANY)
    assert (anonymous.endpoint, anonymous.grant_type) == ("token", "client_credentials")
    assert (anonymous.error, anonymous.reason) == ("invalid_client", "wrong secret")


def test_forged_tokens_are_counted_by_key_and_difference() -> None:
    """A fact carries how many came since the last one, when, and where the last was presented."""

    def present(log: ForgeryLog) -> None:
        log.present(
            Forgery("key-1", (NOT_RECORDED,)),
            Presentation("admin", "", "address-hash", None),
            jtis=(),
            count=3,
            first_at=NOON,
            last_at=LATER.occurred_at,
            provenance=LATER,
        )

    begun = ForgeryLog.start(stream_id(NOON), process="p-1", day="2026-03-03", provenance=AT_NOON)
    log = (
        given(*events_of(begun, present))
        .when(present)
        .then(
            fact(
                ForgeryLog.ForgedTokenPresented,
                kid="key-1",
                differs=(NOT_RECORDED,),
                endpoint="admin",
                client_id="",
                address="address-hash",
                jti=None,
                jtis=(),
                count=3,
                first_at=NOON,
                last_at=LATER.occurred_at,
            ),
            at=LATER,
        )
    )

    assert log.presented == 6
