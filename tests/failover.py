"""An address in front of PostgreSQL that leads to another server after a failover."""

from urllib.parse import parse_qs, urlsplit

from tests.faults.network import Network


class Failover(Network):
    """Leads to `database_url` until it is switched."""

    def switch(self, database_url: str, *, reset: bool = True) -> None:
        """Lead new connections to another server; `reset` those that there are, or leave them."""
        self._socket = f"{parse_qs(urlsplit(database_url).query)['host'][0]}/.s.PGSQL.5432"
        if reset:
            self.heal()
