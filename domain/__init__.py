"""Aggregates, value objects and rules of the token service.

Pure: no clock, no I/O and no randomness; the application passes them in as arguments.
"""
