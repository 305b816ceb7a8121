"""What the log or its read models cannot hold is refused for every event, and nothing else is."""

import math
from collections.abc import Callable
from typing import Any

import pytest

from application.errors import InvalidRequest, Unrecordable
from application.ledger.ledger import Ledger
from application.ledger.mapper import LedgerMapper
from application.ledger.recordable import DEEPEST, LONGEST_NAME, MOST_BYTES
from domain.audit_reading import AuditReading, Reading
from domain.client_configuration import Authentication
from domain.denial_log import Denial, DenialLog
from domain.permissions import Catalogue
from domain.principal import Principal
from domain.provenance import Provenance
from domain.recorded import MOST_ESCAPED, Recorded
from domain.trusted_issuer import IssuerTerms, TrustedIssuer
from tests.builders import AT_NOON, NOON, PUBLIC_JWK, a_client, stream_id
from tests.golden.examples import examples

NUL, HALF = "a\0b", "a\ud800b"


def _jwk(**members: Any) -> Recorded:
    client = a_client()
    authentication = Authentication(
        method="private_key_jwt", jwks=({**PUBLIC_JWK, "kid": "k", **members},)
    )
    client.collect_events()
    client.set_authentication(authentication, provenance=AT_NOON)
    return client


def _issuer(**terms: Any) -> Recorded:
    known = IssuerTerms(issuer="https://id.example").model_copy(update=terms)
    return TrustedIssuer.add(known, catalogue=Catalogue(), provenance=AT_NOON)


def _by(**circumstances: str) -> Recorded:
    known = {"request_id": "req_1", "by": "operator", "why": "because", **circumstances}
    return Principal.register("p", (), catalogue=Catalogue(), provenance=Provenance(NOON, **known))


def _subject(subject: str) -> Recorded:
    return Principal.register(subject, (), catalogue=Catalogue(), provenance=AT_NOON)


def _nested(depth: int) -> Any:
    found: Any = "x"
    for _ in range(depth):
        found = [found]
    return found


UNRECORDABLE: dict[str, Callable[[], Recorded]] = {
    "U+0000 in a member of a key": lambda: _jwk(note=NUL),
    "U+0000 in the name of a member": lambda: _jwk(**{NUL: "x"}),
    "U+0000 deep in a key": lambda: _jwk(x5c=[{"y": [NUL]}]),
    "half of a character in a key": lambda: _jwk(note=HALF),
    "half of a character in a name": lambda: _jwk(**{HALF: "x"}),
    "U+0000 in the subject claim of an issuer": lambda: _issuer(subject_claim=NUL),
    "half of a character in it": lambda: _issuer(subject_claim=HALF),
    "U+0000 in the name of who did it": lambda: _by(by=NUL),
    "U+0000 in the reason": lambda: _by(why=NUL),
    "half of a character in the reason": lambda: _by(why=HALF),
    "U+0000 in a request id": lambda: _by(request_id=NUL),
    "U+0000 in a traceparent": lambda: _by(traceparent=NUL),
    "U+0000 in a subject": lambda: _subject(NUL),
    "a subject that no index takes": lambda: _subject("é" * LONGEST_NAME),
    "a name of who did it that no index takes": lambda: _by(by="é" * LONGEST_NAME),
    "a number that is not finite": lambda: _jwk(n=math.inf),
    "a number that is none": lambda: _jwk(n=[{"m": math.nan}]),
    "a number of too many digits": lambda: _jwk(n=10**5_000),
    "JSON nested too deeply": lambda: _jwk(n=_nested(DEEPEST + 1)),
    "JSON nested beyond all bounds": lambda: _jwk(n=_nested(100_000)),
    "too many bytes": lambda: _by(why="x" * MOST_BYTES),
}


@pytest.mark.parametrize("decide", UNRECORDABLE.values(), ids=list(UNRECORDABLE))
async def test_is_refused_as_a_mistake_of_the_request(
    decide: Callable[[], Recorded], ledger: Ledger
) -> None:
    """Whoever sends it is answered 400, and nothing is recorded."""
    decided = decide()
    with pytest.raises(Unrecordable) as refused:
        await ledger.save(decided)

    assert isinstance(refused.value, InvalidRequest)
    assert refused.value.description.isascii()
    assert refused.value.description.isprintable()
    assert len(refused.value.description) < 200
    assert await ledger.load(decided.id) is None


RECORDABLE: dict[str, Callable[[], Recorded]] = {
    "a backslash before u0000": lambda: _jwk(note="\\u0000"),
    "controls": lambda: _jwk(note="".join(map(chr, range(1, 32)))),
    "the last characters": lambda: _jwk(note="\ud7ff\ue000\uffff\U0010ffff"),
    "large numbers": lambda: _jwk(n=[10**4_000, 1.7e308, 5e-324, -0.0]),
    "nesting": lambda: _jwk(n=_nested(DEEPEST - 8)),
    "a long name": lambda: _subject("é" * (LONGEST_NAME // 2)),
    "a long reason": lambda: _by(why="x" * 10_000),
}


@pytest.mark.parametrize("decide", RECORDABLE.values(), ids=list(RECORDABLE))
def test_what_can_be_held_is_recorded(decide: Callable[[], Recorded]) -> None:
    """The check looks at values, and refuses nothing that PostgreSQL can hold."""
    mapper = LedgerMapper()
    for fact in decide().facts():
        stored = mapper.to_stored_event(fact)

        assert vars(mapper.to_domain_event(stored)) == vars(fact)


def test_a_refusal_is_recorded_whatever_a_stranger_sent() -> None:
    """The text of a stranger is escaped and cut; no denial is lost to it."""
    hostile = f"iss {NUL} {HALF} \u202e\n" + "x" * 5_000
    stream = DenialLog.start(stream_id(), process=NUL, hour="h", provenance=AT_NOON)
    denial = Denial(NUL, NUL, HALF, "invalid_grant", hostile, HALF)
    stream.collect_events()
    stream.deny(denial, count=1, first_at=NOON, last_at=NOON, provenance=AT_NOON)
    (event,) = stream.facts()
    LedgerMapper().to_stored_event(event)

    recorded = vars(event)
    assert recorded["reason"].startswith(r"iss a\u0000b a\ud800b \u202e\u000ax")
    assert len(recorded["reason"]) < MOST_ESCAPED + 100
    assert (recorded["client_id"], recorded["address"]) == (r"a\u0000b", r"a\ud800b")


def test_a_read_is_recorded_whatever_the_reader_typed() -> None:
    """Names of readers and of what they read are escaped likewise; parameters come encoded."""
    stream = AuditReading.start(stream_id(), process="p", day="d", provenance=AT_NOON)
    stream.read(
        Reading(by=HALF, via="cli", what=NUL),
        parameters=("subject=a%00b",),
        count=1,
        first_at=NOON,
        last_at=NOON,
        provenance=AT_NOON,
    )
    read = vars(list(stream.facts())[-1])

    assert (read["by"], read["what"]) == (r"a\ud800b", r"a\u0000b")
    assert read["parameters"] == ["subject=a%00b"]


@pytest.mark.parametrize("hostile", [NUL, HALF])
@pytest.mark.parametrize("name", examples())
def test_no_event_has_a_text_that_is_not_looked_at(name: str, hostile: str) -> None:
    """In whatever field of whatever event the text stands, the event is not recorded."""
    event = examples()[name]
    for fact, value in vars(event).items():
        if isinstance(value, str):
            changed = object.__new__(type(event))
            changed.__dict__.update({**vars(event), fact: hostile})
            with pytest.raises(Unrecordable):
                LedgerMapper().to_stored_event(changed)
