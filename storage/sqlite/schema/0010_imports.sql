-- What other programs kept and has no table here, as JSON: an import drops nothing.

CREATE TABLE imported_rows (
  id TEXT PRIMARY KEY NOT NULL,
  agent_id TEXT NOT NULL,
  source TEXT NOT NULL,
  source_table TEXT NOT NULL,
  source_key TEXT NOT NULL,
  content TEXT NOT NULL DEFAULT '{}',
  imported_at TEXT NOT NULL
);
CREATE INDEX imported_rows_agent ON imported_rows (agent_id, source_table);
