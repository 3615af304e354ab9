-- Who there is, and who works with whom: what `team` rows are shown by.

CREATE TABLE agents (
  id TEXT PRIMARY KEY NOT NULL,
  name TEXT NOT NULL,
  role TEXT,
  status TEXT NOT NULL DEFAULT 'active',
  config TEXT,
  created_at TEXT NOT NULL,
  updated_at TEXT NOT NULL
);

CREATE TABLE teams (
  id TEXT PRIMARY KEY NOT NULL,
  name TEXT NOT NULL,
  lead_session_key TEXT NOT NULL,
  status TEXT NOT NULL DEFAULT 'active' CHECK (status IN ('active', 'completed', 'disbanded')),
  config TEXT,
  created_at TEXT NOT NULL,
  updated_at TEXT NOT NULL
);

-- A member is a session of an agent: ArgentOS knows the session, visibility asks for the agent.
CREATE TABLE team_members (
  team_id TEXT NOT NULL REFERENCES teams (id) ON DELETE CASCADE,
  session_key TEXT NOT NULL,
  agent_id TEXT NOT NULL,
  role TEXT NOT NULL DEFAULT 'worker' CHECK (role IN ('lead', 'worker')),
  label TEXT,
  status TEXT NOT NULL DEFAULT 'active' CHECK (status IN
    ('active', 'idle', 'completed', 'failed')),
  joined_at TEXT NOT NULL,
  last_active_at TEXT,
  PRIMARY KEY (team_id, session_key)
);
CREATE INDEX team_members_agent ON team_members (agent_id);
