"""JSON Schemas of authorization details, checked when they are loaded: what is wrong with one stops
the start, and no request comes upon it later.

1 a schema by its metaschema (draft 2020-12), wherever a reference leads, 2 references lead to
something within it, so that nothing is ever fetched, 3 and not in a circle, which would never end,
4 a `format` is one that is really checked.
"""

from collections.abc import Iterator
from typing import Any

from jsonschema import Draft202012Validator, SchemaError
from referencing import Registry, Resource
from referencing.exceptions import Unresolvable
from referencing.jsonschema import DRAFT202012

_DIALECT = "https://json-schema.org/draft/2020-12/schema"
_FORMATS = Draft202012Validator.FORMAT_CHECKER
_NOWHERE: Registry[Any] = Registry()  # the library's own default would fetch
_SAME_PLACE = ("allOf", "anyOf", "oneOf", "not", "if", "then", "else", "dependentSchemas")
"""Keywords whose schemas are applied to the very value that theirs is applied to."""


class UnusableTypes(ValueError):
    """The file of types is of no use; the message says why."""


def validator_of(name: str, schema: Any) -> Draft202012Validator:
    """Return what checks objects of the type `name`. Raises UnusableTypes."""
    if not isinstance(schema, dict):
        raise UnusableTypes(f"{name}: must be a schema")
    try:
        resource = DRAFT202012.create_resource(schema)
        _Check().whole(_NOWHERE.resolver_with_root(resource), schema)
    except SchemaError as error:
        raise UnusableTypes(f"{name}: {error.message}") from None
    except Unresolvable as error:
        raise UnusableTypes(f"{name}: refers to {error.ref}, outside of itself") from None
    except RecursionError:
        raise UnusableTypes(f"{name}: is nested too deeply") from None
    except UnusableTypes as error:
        raise UnusableTypes(f"{name}: {error}") from None
    return Draft202012Validator(schema, registry=_NOWHERE, format_checker=_FORMATS)


class _Check:
    """One walk through a schema and all that it refers to."""

    def __init__(self) -> None:
        self._seen: set[int] = set()
        self._ending: set[int] = set()

    def whole(self, resolver: Any, schema: Any) -> None:
        """Check a schema and everything in it."""
        if id(schema) in self._seen:
            return
        self._seen.add(id(schema))
        Draft202012Validator.check_schema(schema)  # 1
        if isinstance(schema, bool):
            return
        self._words(schema)
        self._ends(resolver, schema, ())
        for target in _referred(resolver, schema):  # 2
            self.whole(target.resolver, target.contents)
        for inner in DRAFT202012.create_resource(schema).subresources():
            self.whole(resolver.in_subresource(inner), inner.contents)

    def _words(self, schema: dict[str, Any]) -> None:
        if schema.get("$schema", _DIALECT).removesuffix("#") != _DIALECT:
            raise UnusableTypes("$schema must be that of draft 2020-12")
        if "$dynamicRef" in schema:
            raise UnusableTypes("$dynamicRef is not supported")
        wanted = schema.get("format")
        if wanted is not None and wanted not in _FORMATS.checkers:  # 4
            raise UnusableTypes(f"the format {wanted} is not one that can be checked")

    def _ends(self, resolver: Any, schema: Any, above: tuple[int, ...]) -> None:
        """3."""
        if id(schema) in above:
            raise UnusableTypes("refers to itself in a circle")
        if isinstance(schema, bool) or id(schema) in self._ending:
            return
        for target in _referred(resolver, schema):
            self._ends(target.resolver, target.contents, (*above, id(schema)))
        for inner in _in_the_same_place(schema):
            resource: Resource[Any] = DRAFT202012.create_resource(inner)
            self._ends(resolver.in_subresource(resource), inner, (*above, id(schema)))
        self._ending.add(id(schema))


def _referred(resolver: Any, schema: dict[str, Any]) -> Iterator[Any]:
    if "$ref" in schema:
        yield resolver.lookup(schema["$ref"])


def _in_the_same_place(schema: dict[str, Any]) -> Iterator[Any]:
    for keyword in _SAME_PLACE:
        found = schema.get(keyword, [])
        if isinstance(found, list):
            yield from found
        elif keyword == "dependentSchemas":
            yield from found.values()
        else:
            yield found
