-- What other programs kept and has no table here, as JSON: an import drops nothing.

CREATE TABLE imported_rows (
  id text COLLATE "C" PRIMARY KEY,
  agent_id text COLLATE "C" NOT NULL,
  source text COLLATE "C" NOT NULL,
  source_table text COLLATE "C" NOT NULL,
  source_key text COLLATE "C" NOT NULL,
  content jsonb NOT NULL DEFAULT '{}',
  imported_at timestamptz NOT NULL
);
CREATE INDEX imported_rows_agent ON imported_rows (agent_id, source_table);
SELECT argentbus_guard('imported_rows', 'own');
