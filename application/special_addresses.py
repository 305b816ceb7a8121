"""Which addresses belong to no public service: IANA's special-purpose registries, as a table.

The table is ours, because what a library calls global changes with its version, and is another
question: an anycast address of a protocol can be reached globally and is still nobody's web site.

1. Every range of the IPv4 and IPv6 Special-Purpose Address Registries (RFC 6890) is special, those
   that are globally reachable too; so are multicast and what was reserved before.
2. 64:ff9b::/96 (RFC 6052) is judged by the IPv4 address in it: on a network with NAT64 every public
   name of IPv4 leads there.
3. Of IPv6 only 2000::/3 is public at all: nothing else is given to anybody (RFC 4291, Section 2.4).

To maintain it, compare it with iana.org/assignments/iana-ipv4-special-registry and
iana-ipv6-special-registry. The newest row here is that of RFC 9780.
"""

from collections.abc import Mapping
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network

SPECIAL_IPV4: Mapping[str, str] = {
    "0.0.0.0/8": "this network (RFC 791)",
    "10.0.0.0/8": "private use (RFC 1918)",
    "100.64.0.0/10": "shared address space (RFC 6598)",
    "127.0.0.0/8": "loopback (RFC 1122)",
    "169.254.0.0/16": "link local (RFC 3927)",
    "172.16.0.0/12": "private use (RFC 1918)",
    "192.0.0.0/24": "IETF protocol assignments (RFC 6890)",
    "192.0.2.0/24": "documentation, TEST-NET-1 (RFC 5737)",
    "192.31.196.0/24": "AS112-v4 (RFC 7535)",
    "192.52.193.0/24": "AMT (RFC 7450)",
    "192.88.99.0/24": "6to4 relay anycast, deprecated (RFC 7526)",
    "192.168.0.0/16": "private use (RFC 1918)",
    "192.175.48.0/24": "direct delegation AS112 service (RFC 7534)",
    "198.18.0.0/15": "benchmarking (RFC 2544)",
    "198.51.100.0/24": "documentation, TEST-NET-2 (RFC 5737)",
    "203.0.113.0/24": "documentation, TEST-NET-3 (RFC 5737)",
    "224.0.0.0/4": "multicast (RFC 5771)",
    "240.0.0.0/4": "reserved (RFC 1112), and limited broadcast (RFC 919)",
}
SPECIAL_IPV6: Mapping[str, str] = {
    "::/128": "unspecified (RFC 4291)",
    "::1/128": "loopback (RFC 4291)",
    "::/96": "IPv4-compatible, deprecated (RFC 4291)",
    "::ffff:0:0/96": "IPv4-mapped (RFC 4291)",
    "64:ff9b:1::/48": "IPv4-IPv6 translation for local use (RFC 8215)",
    "100::/64": "discard only (RFC 6666)",
    "100:0:0:1::/64": "dummy prefix (RFC 9780)",
    "2001::/23": "IETF protocol assignments, TEREDO and ORCHID among them (RFC 2928)",
    "2001:db8::/32": "documentation (RFC 3849)",
    "2002::/16": "6to4 (RFC 3056)",
    "2620:4f:8000::/48": "direct delegation AS112 service (RFC 7534)",
    "3fff::/20": "documentation (RFC 9637)",
    "5f00::/16": "segment routing (RFC 9602)",
    "fc00::/7": "unique local (RFC 4193)",
    "fe80::/10": "link local (RFC 4291)",
    "fec0::/10": "site local, deprecated (RFC 3879)",
    "ff00::/8": "multicast (RFC 4291)",
}
_IPV4 = tuple(map(IPv4Network, SPECIAL_IPV4))
_IPV6 = tuple(map(IPv6Network, SPECIAL_IPV6))
_NAT64 = IPv6Network("64:ff9b::/96")
_GLOBAL_UNICAST = IPv6Network("2000::/3")


def is_public(address: IPv4Address | IPv6Address) -> bool:
    """Tell whether a public service can have `address`."""
    if isinstance(address, IPv4Address):
        return not any(address in network for network in _IPV4)
    if address in _NAT64:
        return is_public(IPv4Address(int(address) & 0xFFFFFFFF))
    return address in _GLOBAL_UNICAST and not any(address in network for network in _IPV6)
