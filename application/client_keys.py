"""The keys of a client: registered, or published at a URL of its own and kept."""

from application.outbound import Outbound
from application.published_keys import PublishedKeys
from domain.client import Client


class ClientKeys:
    """Remembers, for each client, what it published; who registered itself is a stranger."""

    def __init__(self, outbound: Outbound, of_strangers: Outbound | None = None) -> None:
        self._outbound = outbound
        self._of_strangers = of_strangers or Outbound(of_strangers=True)
        self._known: dict[str, tuple[str, PublishedKeys]] = {}

    def published(self, client: Client) -> PublishedKeys | None:
        """Return the keys at the client's `jwks_uri`, None where it has none."""
        wanted = client.authentication.jwks_uri
        if wanted is None:
            return None
        uri, published = self._known.get(client.client_id, ("", None))
        if published is None or uri != wanted:
            known = client.registration.source == "administrator"
            outbound = self._outbound if known else self._of_strangers
            published = PublishedKeys(outbound, jwks_uri=wanted)
            self._known[client.client_id] = (wanted, published)
        return published
