-- Claims on tasks, their history, and what a team sees of them; the registry of agents.

-- A claim is a lease on some tasks: when it runs out, another may claim them.
ALTER TABLE tasks ADD COLUMN claim_id text COLLATE "C", ADD COLUMN claim_expires_at timestamptz;
CREATE INDEX tasks_claim ON tasks (claim_id) WHERE claim_id IS NOT NULL;
CREATE INDEX tasks_claimed_until ON tasks (claim_expires_at) WHERE claim_expires_at IS NOT NULL;
CREATE INDEX tasks_ready ON tasks (
  (CASE priority WHEN 'urgent' THEN 0 WHEN 'high' THEN 1 WHEN 'normal' THEN 2 WHEN 'low' THEN 3
    ELSE 4 END), (CASE WHEN due_at IS NULL THEN 1 ELSE 0 END), due_at, created_at, id)
  WHERE status = 'pending';
CREATE INDEX tasks_team ON tasks (team_id) WHERE team_id IS NOT NULL;

ALTER POLICY visible ON tasks USING (
  agent_id = (SELECT argentbus_agent()) OR assignee = (SELECT argentbus_agent())
  OR agent_id IS NULL OR team_id IN (
    SELECT member.team_id FROM team_members AS member JOIN teams ON teams.id = member.team_id
    WHERE member.agent_id = (SELECT argentbus_agent()) AND teams.status <> 'disbanded')
);

-- `depends_on` turned round, by triggers: what waits for a task is looked up whenever one is completed.
-- No foreign key: a task may wait for one that comes later.
CREATE TABLE task_dependencies (
  task_id text COLLATE "C" NOT NULL,
  needed_id text COLLATE "C" NOT NULL,
  PRIMARY KEY (task_id, needed_id)
);
CREATE INDEX task_dependencies_needed ON task_dependencies (needed_id);
ALTER TABLE tasks NO FORCE ROW LEVEL SECURITY;
INSERT INTO task_dependencies
  SELECT DISTINCT tasks.id, needed FROM tasks, jsonb_array_elements_text(depends_on) AS needed;
ALTER TABLE tasks FORCE ROW LEVEL SECURITY;
SELECT argentbus_guard('task_dependencies', '');
DROP INDEX tasks_waiting;

CREATE FUNCTION argentbus_depend() RETURNS trigger
LANGUAGE plpgsql SET search_path = pg_catalog, public AS $$
BEGIN
  IF TG_OP <> 'INSERT' THEN
    DELETE FROM task_dependencies WHERE task_id = old.id;
  END IF;
  IF TG_OP <> 'DELETE' THEN
    INSERT INTO task_dependencies
      SELECT DISTINCT new.id, needed FROM jsonb_array_elements_text(new.depends_on) AS needed;
  END IF;
  RETURN NULL;
END $$;
CREATE TRIGGER task_dependencies_inserted AFTER INSERT ON tasks
  FOR EACH ROW WHEN (new.depends_on <> '[]') EXECUTE FUNCTION argentbus_depend();
CREATE TRIGGER task_dependencies_updated AFTER UPDATE OF depends_on ON tasks
  FOR EACH ROW EXECUTE FUNCTION argentbus_depend();
CREATE TRIGGER task_dependencies_deleted AFTER DELETE ON tasks
  FOR EACH ROW WHEN (old.depends_on <> '[]') EXECUTE FUNCTION argentbus_depend();

-- An empty agent_id is an operator's, or storage's own where something was unblocked.
-- No foreign key: who deleted a task is known afterwards, too.
CREATE TABLE task_history (
  id text COLLATE "C" PRIMARY KEY,
  task_id text COLLATE "C" NOT NULL,
  agent_id text COLLATE "C" NOT NULL,
  what text NOT NULL CHECK (what IN
    ('updated', 'moved', 'claimed', 'released', 'handed_off', 'unblocked', 'deleted')),
  changes jsonb NOT NULL DEFAULT '{}',
  at timestamptz NOT NULL
);
CREATE INDEX task_history_task ON task_history (task_id, at);
SELECT argentbus_guard('task_history', 'agent_id = (SELECT argentbus_agent()) OR EXISTS (
  SELECT 1 FROM tasks WHERE tasks.id = task_id)');

-- Every agent may know who is in the family; what configures an agent is its own.
CREATE POLICY all_read_by_owner ON agents FOR SELECT TO argentbus_schema USING (true);
CREATE VIEW agent_registry AS
  SELECT id, name, role, status, created_at, updated_at FROM agents;
GRANT SELECT ON agent_registry TO argentbus_app, argentbus_operator;

-- Whom a team's lead would have as a member: what an agent has for its team is shown to no team that it
-- did not join.
CREATE TABLE team_invitations (
  team_id text COLLATE "C" NOT NULL REFERENCES teams (id) ON DELETE CASCADE,
  session_key text COLLATE "C" NOT NULL,
  agent_id text COLLATE "C" NOT NULL,
  role text NOT NULL DEFAULT 'worker' CHECK (role IN ('lead', 'worker')),
  label text,
  invited_by text COLLATE "C" NOT NULL,
  invited_at timestamptz NOT NULL,
  PRIMARY KEY (team_id, session_key)
);
CREATE INDEX team_invitations_agent ON team_invitations (agent_id);
SELECT argentbus_guard('team_invitations', 'agent_id = (SELECT argentbus_agent())
  OR team_id = ANY ((SELECT argentbus_teams())::text[])');
