-- Who there is, and who works with whom: what `team` rows are shown by.

CREATE TABLE agents (
  id text COLLATE "C" PRIMARY KEY,
  name text NOT NULL,
  role text,
  status text NOT NULL DEFAULT 'active',
  config jsonb,
  created_at timestamptz NOT NULL,
  updated_at timestamptz NOT NULL
);

CREATE TABLE teams (
  id text COLLATE "C" PRIMARY KEY,
  name text NOT NULL,
  lead_session_key text COLLATE "C" NOT NULL,
  status text NOT NULL DEFAULT 'active' CHECK (status IN ('active', 'completed', 'disbanded')),
  config jsonb,
  created_at timestamptz NOT NULL,
  updated_at timestamptz NOT NULL
);

-- A member is a session of an agent: ArgentOS knows the session, visibility asks for the agent.
CREATE TABLE team_members (
  team_id text COLLATE "C" NOT NULL REFERENCES teams (id) ON DELETE CASCADE,
  session_key text COLLATE "C" NOT NULL,
  agent_id text COLLATE "C" NOT NULL,
  role text NOT NULL DEFAULT 'worker' CHECK (role IN ('lead', 'worker')),
  label text,
  status text NOT NULL DEFAULT 'active' CHECK (status IN
    ('active', 'idle', 'completed', 'failed')),
  joined_at timestamptz NOT NULL,
  last_active_at timestamptz,
  PRIMARY KEY (team_id, session_key)
);
CREATE INDEX team_members_agent ON team_members (agent_id);

ALTER TABLE agents ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY;
ALTER TABLE teams ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY;
ALTER TABLE team_members ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY;

GRANT SELECT ON agents, teams, team_members TO argentbus_app, argentbus_operator;
GRANT SELECT, INSERT, UPDATE, DELETE ON agents, teams, team_members TO argentbus_sidecar;

CREATE POLICY all_read ON agents FOR SELECT TO argentbus_operator USING (true);
CREATE POLICY all_read ON teams FOR SELECT TO argentbus_operator USING (true);
-- The owner too: `argentbus_teams` runs as it.
CREATE POLICY all_read ON team_members FOR SELECT TO argentbus_operator, argentbus_schema
  USING (true);
CREATE POLICY all_written ON agents TO argentbus_sidecar USING (true) WITH CHECK (true);
CREATE POLICY all_written ON teams TO argentbus_sidecar USING (true) WITH CHECK (true);
CREATE POLICY all_written ON team_members TO argentbus_sidecar USING (true) WITH CHECK (true);

-- The teams of the agent in whose scope a transaction reads. It looks past the policies of
-- team_members, which ask it.
CREATE FUNCTION argentbus_teams() RETURNS text[]
LANGUAGE sql STABLE PARALLEL SAFE SECURITY DEFINER SET search_path = pg_catalog, public
AS $$
  SELECT coalesce(array_agg(team_id), '{}') FROM public.team_members
  WHERE agent_id = public.argentbus_agent()
$$;
REVOKE EXECUTE ON FUNCTION argentbus_teams() FROM PUBLIC;
GRANT EXECUTE ON FUNCTION argentbus_teams() TO argentbus_app;

CREATE POLICY visible ON agents FOR SELECT TO argentbus_app USING (id = (SELECT argentbus_agent()));
CREATE POLICY visible ON teams FOR SELECT TO argentbus_app
  USING (id = ANY ((SELECT argentbus_teams())::text[]));
CREATE POLICY visible ON team_members FOR SELECT TO argentbus_app
  USING (team_id = ANY ((SELECT argentbus_teams())::text[]));

ALTER POLICY visible ON memory_items USING (
  agent_id = (SELECT argentbus_agent()) OR visibility IN ('family', 'public')
  OR visibility = 'team' AND agent_id IN (
    SELECT member.agent_id FROM team_members AS member JOIN teams ON teams.id = member.team_id
    WHERE teams.status <> 'disbanded')
);
