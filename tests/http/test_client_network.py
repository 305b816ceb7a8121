"""An address is one caller; of IPv6 its /64 is."""

import pytest

from api.client_network import network_of


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
