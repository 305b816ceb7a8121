"""Clients that register themselves: RFC 7591, RFC 7592 and metadata documents."""
