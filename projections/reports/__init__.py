"""Reports: each one file with its question, its SQL and its words; two engines answer it.

The SQL is written once, in what PostgreSQL and DuckDB share, over one relation `events`: the audit
trail (projections.audit_trail) up to the position asked for. `%(name)s` names a parameter, and
`%(as_of)s` and `%(moment)s` are always there.
"""
