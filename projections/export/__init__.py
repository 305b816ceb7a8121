"""The audit trail as Parquet files, for engines and archives that know nothing of this service."""
