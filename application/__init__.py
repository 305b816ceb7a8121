"""Use cases of the token service, and the ledger they record into."""
