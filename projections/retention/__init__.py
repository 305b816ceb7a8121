"""Old months of the log: which may leave the database, how they are archived, and the way back."""
