"""A token: what became of it, and the tree of tokens that it is part of."""

from uuid import UUID

from api.console.desk import Page, Sight
from api.console.rendering import sentence
from api.visit import AnyResponse
from application.errors import InvalidRequest, NotFound
from projections import audit_trail

NODES_SHOWN = 300


def page(name: str) -> Page:
    """Return the page of the token with the `jti` `name`."""

    async def shown(sight: Sight) -> AnyResponse:
        jti = _jti(name)
        models = sight.service.read_models
        entries = await models.fetch(audit_trail.of_token(jti))
        lineage = await models.lineage(jti, now=sight.now)
        if not entries or lineage is None:
            raise NotFound("nothing is recorded about this token, or not projected yet")
        return sight.render(
            "token.html",
            jti=jti,
            entries=entries,
            issued=next((entry for entry in entries if entry.topic == "token.issued"), entries[0]),
            node=next((node for node in lineage.nodes if node.jti == jti), None),
            nodes=lineage.nodes[:NODES_SHOWN],
            tree_size=len(lineage.nodes),
            complete=lineage.complete and len(lineage.nodes) <= NODES_SHOWN,
            sentence=sentence,
        )

    return shown


def _jti(name: str) -> UUID:
    try:
        return UUID(name)
    except ValueError:
        raise InvalidRequest("the id of a token is a UUID") from None
