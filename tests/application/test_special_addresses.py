"""Special-purpose ranges of IANA's registries: no name of a stranger leads us there."""

from ipaddress import ip_address, ip_network

import pytest

from application.special_addresses import SPECIAL_IPV4, SPECIAL_IPV6, is_public

# As the registries list them, one row each, those within a wider row too. Not the table of the
# code: a row that is lost there fails here.
REGISTRIES = (
    "0.0.0.0/8",
    "0.0.0.0/32",
    "10.0.0.0/8",
    "100.64.0.0/10",
    "127.0.0.0/8",
    "169.254.0.0/16",
    "172.16.0.0/12",
    "192.0.0.0/24",
    "192.0.0.0/29",
    "192.0.0.8/32",
    "192.0.0.9/32",
    "192.0.0.10/32",
    "192.0.0.170/32",
    "192.0.0.171/32",
    "192.0.2.0/24",
    "192.31.196.0/24",
    "192.52.193.0/24",
    "192.88.99.0/24",
    "192.88.99.2/32",
    "192.168.0.0/16",
    "192.175.48.0/24",
    "198.18.0.0/15",
    "198.51.100.0/24",
    "203.0.113.0/24",
    "240.0.0.0/4",
    "255.255.255.255/32",
    "224.0.0.0/4",
    "::1/128",
    "::/128",
    "::ffff:0:0/96",
    "64:ff9b:1::/48",
    "100::/64",
    "100:0:0:1::/64",
    "2001::/23",
    "2001::/32",
    "2001:1::1/128",
    "2001:1::2/128",
    "2001:1::3/128",
    "2001:2::/48",
    "2001:3::/32",
    "2001:4:112::/48",
    "2001:10::/28",
    "2001:20::/28",
    "2001:30::/28",
    "2001:db8::/32",
    "2002::/16",
    "2620:4f:8000::/48",
    "3fff::/20",
    "5f00::/16",
    "fc00::/7",
    "fe80::/10",
    "fec0::/10",
    "ff00::/8",
    "::/96",
)


@pytest.mark.parametrize("text", REGISTRIES)
def test_a_special_range_is_private(text: str) -> None:
    """Its first, its last and a middle address, whether or not the range is globally reachable."""
    network = ip_network(text)
    first, last = network[0], network[-1]
    middle = network[network.num_addresses // 2]

    assert [is_public(address) for address in (first, middle, last)] == [False] * 3


@pytest.mark.parametrize("text", [*SPECIAL_IPV4, *SPECIAL_IPV6])
def test_each_row_of_the_table_counts(text: str) -> None:
    """Each row is one of the registries, and it is written as a network and not as an address."""
    network = ip_network(text)

    assert text in REGISTRIES
    assert not is_public(network[0])


PUBLIC = (
    "1.1.1.1",
    "8.8.8.8",
    "9.255.255.255",
    "11.0.0.0",
    "100.63.255.255",
    "100.128.0.0",
    "172.15.255.255",
    "172.32.0.0",
    "192.0.1.1",
    "192.167.255.255",
    "192.169.0.0",
    "198.17.255.255",
    "198.20.0.0",
    "223.255.255.255",
    "2001:200::1",
    "2001:4860:4860::8888",
    "2606:4700::1111",
    "2620:4f:7fff::1",
    "3ffe::1",
    "64:ff9b::808:808",
)


@pytest.mark.parametrize("text", PUBLIC)
def test_what_lies_beside_is_public(text: str) -> None:
    """A range is no wider than its registry says; NAT64 is judged by the IPv4 address in it."""
    assert is_public(ip_address(text))


@pytest.mark.parametrize("text", [*SPECIAL_IPV4])
def test_nat64_of_a_special_range_is_private(text: str) -> None:
    """The gateway would take us to the very address that the table refuses."""
    for address in (ip_network(text)[0], ip_network(text)[-1]):
        assert not is_public(ip_address((0x64FF9B << 96) | int(address)))


@pytest.mark.parametrize("text", ["200::1", "4000::1", "64:ff9b:0:1::1", "fe00::1", "e000::1"])
def test_what_is_given_to_nobody_is_private(text: str) -> None:
    """Outside of 2000::/3 there is no public service."""
    assert not is_public(ip_address(text))
