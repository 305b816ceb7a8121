"""What the items of a list are, in the OpenAPI document, where the framework gets it wrong.

Of `tuple[X, ...]` with a length limit it makes items that are "one of: X, anything": every X is
both, so that no list fits at all, and a client that checks our answers refuses all of them.
"""

from collections.abc import Iterator

from litestar import Litestar
from litestar.openapi.spec import Reference, Schema

_ANYTHING = Schema()


def correct_items(app: Litestar) -> None:
    """Leave of such items what they are, in every named schema of the document of `app`."""
    for named in (app.openapi_schema.components.schemas or {}).values():
        for schema in _within(named):
            items = schema.items
            if isinstance(items, Schema) and items.one_of and items.one_of[1:] == [_ANYTHING]:
                schema.items = items.one_of[0]


def _within(schema: Schema | Reference) -> Iterator[Schema]:
    if isinstance(schema, Reference):
        return
    yield schema
    for inner in (*(schema.properties or {}).values(), *(schema.one_of or ())):
        yield from _within(inner)
