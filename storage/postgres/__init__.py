"""PostgreSQL: what truly differs from SQLite."""
