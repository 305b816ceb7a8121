"""Which address a request comes from, spelled in one way, and which network limits count it by.

A proxy, a socket of both families and IPv6 spell one address in several ways: `203.0.113.7:50123`,
`::ffff:203.0.113.7`, `[2001:DB8::1]:443`. With each spelling a guesser would begin anew, and a
proxy that is trusted would pass for its own client. An IPv6 subscriber has 2^64 addresses, and is
one caller.
"""

from ipaddress import AddressValueError, IPv6Address, IPv6Network

_SUBSCRIBER_BITS = 64


def address_of(text: str) -> str:
    """Return the address in `text` in its one spelling, without a port; what is no address stays
    as it is.
    """
    if ":" not in text:  # the hot path: nothing to read
        return text
    read = _read(text)
    return text if read is None else str(read)


def network_of(text: str) -> str:
    """Return the address in `text` as `address_of` does, of IPv6 its /64."""
    if ":" not in text:  # the hot path: nothing to read
        return text
    read = _read(text)
    if not isinstance(read, IPv6Address):
        return text if read is None else str(read)
    return str(IPv6Network((int(read), _SUBSCRIBER_BITS), strict=False))


def _read(text: str) -> IPv6Address | str | None:
    """Return an IPv6 address without its zone, an IPv4 one as text, None for neither."""
    host, _, port = text.rpartition(":")
    if "." in host and ":" not in host and port.isdecimal():
        return host
    if text.startswith("["):
        text = text[1:].partition("]")[0]
    try:
        read = IPv6Address(text.partition("%")[0])
    except AddressValueError:
        return None
    return read if read.ipv4_mapped is None else str(read.ipv4_mapped)
