"""SQLite: what truly differs from PostgreSQL."""
