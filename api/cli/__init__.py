"""The command line `grantledger`: one file a group of commands; `program` puts them together."""

from api.cli.program import main

__all__ = ["main"]
