"""What clients may register of themselves: the settings' limits, then the operator's own code.

1. The authentication method, 2. every grant type, 3. every scope, 4. every redirect URI is among
those that strangers may have. What is not is refused, and named; nothing is quietly left out.
5. The hook has the last word: it may change or refuse what the limits let through.

By default a stranger gets codes and refresh tokens with the identity scopes: no authority that
nobody consented to, no permission of the user tier, and nothing in a machine's own name.
"""

import importlib
import inspect
import re
from collections.abc import Awaitable, Callable, Collection, Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

from application.errors import InvalidClientMetadata, InvalidRedirectUri
from application.registration.metadata import METHODS, method_of
from domain.client_configuration import ClientConfiguration

HTTPS, LOOPBACK, PRIVATE = "https", "loopback", "private"
REDIRECT_RULE = re.compile(
    r"https|loopback|private|https://(\*\.)?[a-z0-9.-]+(:[0-9]{1,5})?"
    r"|[a-z][a-z0-9+-]*(\.[a-z0-9+-]+)+:"
)


class RegistrationRefused(Exception):
    """For hooks: this client is not registered. The message goes to whoever registers it."""


Hook = Callable[
    [ClientConfiguration, Mapping[str, Any]], ClientConfiguration | Awaitable[ClientConfiguration]
]


def hook_named(name: str) -> Hook:
    """Return the callable that `package.module:name` names. Raises ValueError."""
    module, _, attribute = name.partition(":")
    try:
        found = getattr(importlib.import_module(module), attribute)
    except (ImportError, AttributeError, ValueError) as error:
        raise ValueError(f"{name} cannot be imported: {type(error).__name__}") from error
    if not callable(found):
        raise ValueError(f"{name} is no function")
    hook: Hook = found
    return hook


@dataclass(frozen=True, slots=True)
class Limits:
    """What may be registered; `redirects` are rules as the settings have them. `audiences` are what
    such clients may ask for, the deployment's default where there are none.
    """

    scopes: tuple[str, ...]
    grant_types: tuple[str, ...]
    redirects: tuple[str, ...]
    methods: tuple[str, ...] = METHODS
    held_redirects: tuple[str, ...] = ()
    audiences: tuple[str, ...] = ()

    def require(self, configuration: ClientConfiguration) -> None:
        """Raise InvalidClientMetadata or InvalidRedirectUri for what is beyond (1 to 4)."""
        method = method_of(configuration.client_type, configuration.authentication)
        _require_among([method], self.methods, "token_endpoint_auth_method")  # 1
        _require_among(configuration.grant_types, self.grant_types, "grant_types")  # 2
        _require_among(configuration.scopes, self.scopes, "scope")  # 3
        redirects = configuration.redirects
        for uri in (*redirects.redirect_uris, *redirects.post_logout_redirect_uris):  # 4
            if uri not in self.held_redirects and not any(
                _fits(uri, rule) for rule in self.redirects
            ):
                raise InvalidRedirectUri("a redirect URI is of a kind that is not allowed here")


def _require_among(wanted: Collection[str], allowed: Collection[str], member: str) -> None:
    beyond = [name for name in wanted if name not in allowed]
    if beyond:
        raise InvalidClientMetadata(
            f"{member}: not for clients that register themselves: {' '.join(beyond)}",
            reason=f"{member} beyond the limits",
        )


def _fits(uri: str, rule: str) -> bool:
    """What is registered is https, http on the loopback interface, or a private-use scheme."""
    parts = urlsplit(uri)
    if rule in (HTTPS, LOOPBACK, PRIVATE):
        return rule == {"https": HTTPS, "http": LOOPBACK}.get(parts.scheme, PRIVATE)
    if rule.endswith(":"):
        return f"{parts.scheme}:" == rule
    host = rule.removeprefix("https://")
    ends_like = host.startswith("*.") and parts.netloc.endswith(host[1:])
    return parts.scheme == "https" and (ends_like or parts.netloc == host)


async def hooked(
    hook: Hook | None, configuration: ClientConfiguration, metadata: Mapping[str, Any]
) -> ClientConfiguration:
    """5. Return what the hook makes of a configuration. Raises InvalidClientMetadata."""
    if hook is None:
        return configuration
    try:
        found = hook(configuration, metadata)
        changed = await found if inspect.isawaitable(found) else found
    except RegistrationRefused as refused:
        raise InvalidClientMetadata(str(refused), reason="refused by the hook") from None
    if not isinstance(changed, ClientConfiguration):
        raise TypeError("the registration hook returns the configuration")
    # Name and origin are not its to give: they decide which checks apply later.
    kept = {"client_id": configuration.client_id, "client_type": configuration.client_type}
    fixed = changed.model_copy(update={**kept, "registration": configuration.registration})
    return ClientConfiguration.model_validate(fixed.model_dump())
