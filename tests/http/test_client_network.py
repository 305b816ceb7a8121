"""An address is one caller; of IPv6 its /64 is."""

from typing import Any

import pytest

from api.client_network import network_of
from api.request_reading import client_address, forwarded_for, read_headers


@pytest.mark.parametrize(
    ("address", "network"),
    [
        ("203.0.113.7", "203.0.113.7"),
        ("203.0.113.7:50123", "203.0.113.7"),
        ("2001:db8:1:2:3:4:5:6", "2001:db8:1:2::/64"),
        ("2001:DB8:1:2::", "2001:db8:1:2::/64"),
        ("[2001:db8:1:2::9]:443", "2001:db8:1:2::/64"),
        ("fe80::1%eth0", "fe80::/64"),
        ("::ffff:203.0.113.7", "203.0.113.7"),
        ("::ffff:cb00:7107", "203.0.113.7"),
        ("", ""),
        ("unknown", "unknown"),
        (":", ":"),
        ("[", "["),
        ("[::1", "::/64"),
        ("a:b:c", "a:b:c"),
        ("1.2.3.4:x", "1.2.3.4:x"),
    ],
)
def test_networks(address: str, network: str) -> None:
    """What a proxy may write is read, and what is no address counts as what it is."""
    assert network_of(address) == network


@pytest.mark.parametrize(
    ("peer", "hops", "address"),
    [
        ("10.0.0.1", "203.0.113.7:50123", "203.0.113.7"),
        ("10.0.0.1", "[2001:DB8::7]:443", "2001:db8::7"),
        ("10.0.0.1", "::ffff:203.0.113.7", "203.0.113.7"),
        ("::ffff:10.0.0.1", "203.0.113.7", "203.0.113.7"),
        ("10.0.0.1", "203.0.113.7, 10.0.0.2:8443", "203.0.113.7"),
        ("10.0.0.1", "203.0.113.7, ::ffff:10.0.0.2", "203.0.113.7"),
        ("10.0.0.1", "203.0.113.7, [2001:DB8::2]:443", "203.0.113.7"),
        ("::ffff:198.51.100.9", "203.0.113.7", "198.51.100.9"),
    ],
)
def test_an_address_has_one_spelling(peer: str, hops: str, address: str) -> None:
    """However a proxy or a socket of both families writes it, an address is recorded, counted and
    trusted as one: a proxy that was taken for a client would count for everybody behind it.
    """
    scope: Any = {"client": (peer, 5000), "headers": []}
    trusted = {"10.0.0.1", "10.0.0.2", "2001:db8::2"}

    assert client_address(scope, forwarded_for=hops.encode(), trusted=trusted) == address


def test_each_proxy_may_add_a_line() -> None:
    """Several lines of X-Forwarded-For are one list: of the last line alone the nearest proxy would
    pass for everybody, and one address that guesses would lock out all.
    """
    scope: Any = {
        "client": ("10.0.0.1", 5000),
        "headers": [(b"x-forwarded-for", b"203.0.113.7"), (b"x-forwarded-for", b"10.0.0.2")],
    }
    lines = read_headers(scope).forwarded_for
    address = client_address(scope, forwarded_for=lines, trusted={"10.0.0.1", "10.0.0.2"})

    assert lines == forwarded_for(scope)
    assert address == "203.0.113.7"
