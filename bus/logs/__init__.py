"""Logs: ordered streams that one reader at a time consumes and trims."""
