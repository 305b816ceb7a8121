"""`make bench`: how fast the service is, beside the ceiling that signing alone sets."""
