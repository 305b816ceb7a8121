"""The authorization endpoint's use cases: from a request in a browser to a code or an error."""
