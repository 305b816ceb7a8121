"""Which address rate limits count by: an IPv6 subscriber has 2^64 of them, and is one caller."""

from ipaddress import IPv6Address, IPv6Network

_SUBSCRIBER_BITS = 64


def network_of(address: str) -> str:
    """Return `address`, of IPv6 its /64; what is no address stays as it is.

    Some proxies write the port behind the address: it is left out.
    """
    if ":" not in address:  # the hot path: nothing to read
        return address
    host, _, port = address.rpartition(":")
    if "." in host and ":" not in host and port.isdecimal():
        return host
    if address.startswith("["):
        address = address[1:].partition("]")[0]
    try:
        read = IPv6Address(address)
    except ValueError:
        return address
    if read.ipv4_mapped is not None:
        return str(read.ipv4_mapped)
    return str(IPv6Network((int(read), _SUBSCRIBER_BITS), strict=False))
