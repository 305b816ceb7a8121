"""Use cases of administrators, shared by the API and the command line."""
