"""A family of refresh tokens: its timeline from the grant to its end."""

from uuid import UUID

from api.console.desk import Page, Sight
from api.console.rendering import sentence
from api.visit import AnyResponse
from application.errors import InvalidRequest, NotFound
from projections import audit_trail
from projections.event_filter import EventFilter

ENTRIES_SHOWN = 500
_MARKS = {"family.reuse_detected": "alarm", "family.revoked": "end", "token.revoked": "end"}


def page(name: str) -> Page:
    """Return the page of the family `name`."""

    async def shown(sight: Sight) -> AnyResponse:
        family_id = _family_id(name)
        entries = await sight.service.read_models.fetch(
            audit_trail.search(EventFilter(family_id=family_id), limit=ENTRIES_SHOWN + 1)
        )
        if not entries:
            raise NotFound("nothing is recorded about this family, or not projected yet")
        topics = [entry.topic for entry in entries]
        return sight.render(
            "family.html",
            family_id=family_id,
            entries=entries[:ENTRIES_SHOWN],
            more=len(entries) > ENTRIES_SHOWN,
            first=entries[0],
            rotations=topics.count("family.rotated"),
            tokens=topics.count("token.issued"),
            reused="family.reuse_detected" in topics,
            revoked="family.revoked" in topics,
            marks=_MARKS,
            sentence=sentence,
        )

    return shown


def _family_id(name: str) -> str:
    try:
        return str(UUID(name))
    except ValueError:
        raise InvalidRequest("the id of a family is a UUID") from None
