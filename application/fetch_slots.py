"""How much of one stranger we wait for at one time: slots for hosts, networks and names.

Whoever writes the URLs that we follow can name hosts that never answer. Such a host holds a few
slots of its own, and the next one fails at once; it takes none from the hosts of others.

1. OF_ONE_HOST fetches for one host, and OF_ONE_NETWORK for one network: the /24 of an IPv4 address,
   the /48 of an IPv6 one. A wildcard in the DNS makes hosts without end, but networks cost money.
2. OF_ONE_SITE look-ups for names of one site: the server that answers for them may be as slow. A
   look-up holds a thread until it ends, however long ago its request gave up, and so its slot.
3. IN_ALL fetches at one time, and LOOK_UPS look-ups.
"""

import asyncio
import socket
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from ipaddress import IPv4Address, IPv6Address, ip_network
from threading import Lock
from typing import Any

OF_ONE_HOST = 2
OF_ONE_NETWORK = 8
OF_ONE_SITE = 4
IN_ALL = 256
LOOK_UPS = 32
_IPV4_BITS, _IPV6_BITS = 24, 48
_COUNTRY, _SHORT = 2, 3

LookUp = Callable[..., Sequence[Any]]


class NoSlot(Exception):
    """So much is under way already; the message says of what."""


class FetchSlots:
    """Counts what is under way by name; there are `of_one` slots of each, and `in_all`."""

    def __init__(self, *, of_one: int, in_all: int = IN_ALL) -> None:
        self._of_one = of_one
        self._in_all = in_all
        self._taken: Counter[str] = Counter()
        self._lock = Lock()  # look-ups end in threads of their own

    def take(self, name: str) -> None:
        """Take a slot of `name`. Raises NoSlot."""
        with self._lock:
            if self._taken[name] >= self._of_one:
                raise NoSlot(f"too many requests for {name} are under way")
            if self._taken.total() >= self._in_all:
                raise NoSlot("too many requests are under way")
            self._taken[name] += 1

    def give_back(self, name: str) -> None:
        """Give a slot of `name` back."""
        with self._lock:
            self._taken[name] -= 1
            if self._taken[name] <= 0:
                del self._taken[name]

    @contextmanager
    def one(self, name: str) -> Iterator[None]:
        """Hold a slot of `name`. Raises NoSlot."""
        self.take(name)
        try:
            yield
        finally:
            self.give_back(name)


class BoundedResolver:
    """Resolves the names of strangers in threads of its own, so many at a time for one site."""

    def __init__(self, look_up: LookUp = socket.getaddrinfo) -> None:
        self._look_up = look_up
        self._slots = FetchSlots(of_one=OF_ONE_SITE, in_all=LOOK_UPS)
        self._threads = ThreadPoolExecutor(LOOK_UPS, thread_name_prefix="names of strangers")

    async def __call__(self, host: str, port: int) -> Sequence[str]:
        """Return the addresses of `host`. Raises NoSlot, OSError."""
        site = site_of(host)
        self._slots.take(site)
        asked = self._threads.submit(self._look_up, host, port, type=socket.SOCK_STREAM)
        asked.add_done_callback(lambda _: self._slots.give_back(site))
        found = await asyncio.wrap_future(asked)
        return list(dict.fromkeys(str(address[0]) for *_, address in found))


def site_of(host: str) -> str:
    """Return what a host belongs to: two labels of it, three below names like co.uk.

    A guess: where it is wrong, strangers share slots for moments.
    """
    labels = host.lower().rstrip(".").split(".")
    two_are_shared = len(labels[-1]) == _COUNTRY and len(labels) > 1 and len(labels[-2]) <= _SHORT
    return ".".join(labels[-3:] if two_are_shared else labels[-2:])


def network_of(address: IPv4Address | IPv6Address) -> str:
    """Return the network that an address belongs to, as its owner has it."""
    bits = _IPV4_BITS if isinstance(address, IPv4Address) else _IPV6_BITS
    return str(ip_network((int(address), bits), strict=False))
