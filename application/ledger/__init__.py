"""The event log in PostgreSQL: schema, encoding, group commit, grouped reads."""
