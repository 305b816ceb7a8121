"""Backups: a directory with one consistent snapshot of the database, and proof that it is whole."""
