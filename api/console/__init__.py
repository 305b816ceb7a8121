"""The console: pages on which people who may read the audit trail look into it (/console)."""
