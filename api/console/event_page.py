"""One entry of the audit trail: what it says in words, its facts, and its raw JSON."""

from api.console.desk import Page, Sight
from api.console.overview import position_of
from api.console.rendering import sentence
from api.visit import AnyResponse
from application.errors import NotFound
from projections import audit_trail
from projections.event_filter import EventFilter


def page(name: str) -> Page:
    """Return the page of the entry at the position `name`."""

    async def shown(sight: Sight) -> AnyResponse:
        position = position_of(name, "the position")
        assert position is not None
        found = await sight.service.read_models.fetch(
            audit_trail.search(EventFilter(after=position - 1, before=position + 1), limit=1)
        )
        if not found:
            raise NotFound("nothing is recorded at this position, or not projected yet")
        return sight.render("event.html", entry=found[0], sentence=sentence)

    return shown
