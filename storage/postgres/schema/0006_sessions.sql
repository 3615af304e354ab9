-- Sessions of agents, and what was seen in them.

CREATE TABLE sessions (
  id text COLLATE "C" PRIMARY KEY,
  agent_id text COLLATE "C" NOT NULL,
  session_key text COLLATE "C" NOT NULL UNIQUE,
  channel_id text COLLATE "C",
  status text NOT NULL DEFAULT 'active',
  project_path text,
  started_at timestamptz NOT NULL,
  last_activity_at timestamptz NOT NULL,
  ended_at timestamptz,
  message_count bigint NOT NULL DEFAULT 0,
  token_count bigint,
  summary text,
  metadata jsonb NOT NULL DEFAULT '{}'
);
CREATE INDEX sessions_agent_activity ON sessions (agent_id, last_activity_at);
SELECT argentbus_guard('sessions', 'own');

CREATE TABLE observations (
  id bigint PRIMARY KEY,
  session_id text COLLATE "C" NOT NULL REFERENCES sessions (id) ON DELETE CASCADE,
  agent_id text COLLATE "C",
  type text NOT NULL DEFAULT 'tool_result' CHECK (type IN ('session_start', 'session_end',
    'tool_call', 'tool_result', 'user_message', 'assistant_message', 'error', 'note', 'learning')),
  tool_name text,
  input text,
  output text,
  summary text,
  channel_id text COLLATE "C",
  importance bigint NOT NULL DEFAULT 5,
  metadata jsonb NOT NULL DEFAULT '{}',
  created_at timestamptz NOT NULL,
  words tsvector GENERATED ALWAYS AS (argentbus_words(
    coalesce(summary, '') || coalesce(' ' || output, ''))) STORED
);
CREATE INDEX observations_session ON observations (session_id, id);
CREATE INDEX observations_agent ON observations (agent_id, id);
CREATE INDEX observations_words ON observations USING gin (words);
-- Who records an observation is who has the session: one look at the row says whose it is.
SELECT argentbus_guard('observations', 'own');
