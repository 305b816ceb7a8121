"""Read models: tables in schema `read` that are derived from the log, and can be again.

Each read model is one file: its table, the topics it handles, and its queries. Rows and the
position up to which they are complete are written in one transaction, so that every event counts
exactly once whatever dies when.
"""
