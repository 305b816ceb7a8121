"""The keys of a client: registered, or published at a URL of its own and kept.

Of ROOM clients at a time: those of the client that was not used for longest are dropped, and
fetched again when it comes back. That they are fetched no more than once a minute is forgotten
with them, as it is when a client names another URL. Who would have us ask more often needs more
than ROOM clients with a `jwks_uri` and has to name each of them in between, one fetch for one
request; what fails counts by its address (application.rate_limits).
"""

from application.outbound import Outbound
from application.published_keys import PublishedKeys
from application.recently_used import RecentlyUsed
from domain.client import Client

ROOM = 1_024


class ClientKeys:
    """Remembers, for each client, what it published; who registered itself is a stranger."""

    def __init__(self, outbound: Outbound, of_strangers: Outbound | None = None) -> None:
        self._outbound = outbound
        self._of_strangers = of_strangers or Outbound(of_strangers=True)
        self._known: RecentlyUsed[str, tuple[str, PublishedKeys]] = RecentlyUsed(ROOM)

    def published(self, client: Client) -> PublishedKeys | None:
        """Return the keys at the client's `jwks_uri`, None where it has none."""
        wanted = client.authentication.jwks_uri
        if wanted is None:
            return None
        uri, published = self._known.get(client.client_id) or ("", None)
        if published is None or uri != wanted:
            known = client.registration.source == "administrator"
            outbound = self._outbound if known else self._of_strangers
            published = PublishedKeys(outbound, jwks_uri=wanted)
            self._known.put(client.client_id, (wanted, published))
        return published
