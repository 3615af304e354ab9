-- Claims on tasks, their history, and what a team sees of them; the registry of agents.

-- A claim is a lease on some tasks: when it runs out, another may claim them.
ALTER TABLE tasks ADD COLUMN claim_id TEXT;
ALTER TABLE tasks ADD COLUMN claim_expires_at TEXT;
CREATE INDEX tasks_claim ON tasks (claim_id) WHERE claim_id IS NOT NULL;
CREATE INDEX tasks_claimed_until ON tasks (claim_expires_at) WHERE claim_expires_at IS NOT NULL;
CREATE INDEX tasks_ready ON tasks (
  (CASE priority WHEN 'urgent' THEN 0 WHEN 'high' THEN 1 WHEN 'normal' THEN 2 WHEN 'low' THEN 3
    ELSE 4 END), (CASE WHEN due_at IS NULL THEN 1 ELSE 0 END), due_at, created_at, id)
  WHERE status = 'pending';
CREATE INDEX tasks_team ON tasks (team_id) WHERE team_id IS NOT NULL;

-- `depends_on` turned round, by triggers: what waits for a task is looked up whenever one is completed.
-- No foreign key: a task may wait for one that comes later.
CREATE TABLE task_dependencies (
  task_id TEXT NOT NULL,
  needed_id TEXT NOT NULL,
  PRIMARY KEY (task_id, needed_id)
) WITHOUT ROWID;
CREATE INDEX task_dependencies_needed ON task_dependencies (needed_id);
INSERT INTO task_dependencies
  SELECT DISTINCT tasks.id, needed.value FROM tasks, json_each(tasks.depends_on) AS needed;
CREATE TRIGGER task_dependencies_inserted AFTER INSERT ON tasks WHEN new.depends_on <> '[]' BEGIN
  INSERT INTO task_dependencies SELECT DISTINCT new.id, value FROM json_each(new.depends_on);
END;
CREATE TRIGGER task_dependencies_updated AFTER UPDATE OF depends_on ON tasks BEGIN
  DELETE FROM task_dependencies WHERE task_id = old.id;
  INSERT INTO task_dependencies SELECT DISTINCT new.id, value FROM json_each(new.depends_on);
END;
CREATE TRIGGER task_dependencies_deleted AFTER DELETE ON tasks WHEN old.depends_on <> '[]' BEGIN
  DELETE FROM task_dependencies WHERE task_id = old.id;
END;

-- An empty agent_id is an operator's, or storage's own where something was unblocked.
-- No foreign key: who deleted a task is known afterwards, too.
CREATE TABLE task_history (
  id TEXT PRIMARY KEY NOT NULL,
  task_id TEXT NOT NULL,
  agent_id TEXT NOT NULL,
  what TEXT NOT NULL CHECK (what IN
    ('updated', 'moved', 'claimed', 'released', 'handed_off', 'unblocked', 'deleted')),
  changes TEXT NOT NULL DEFAULT '{}',
  at TEXT NOT NULL
);
CREATE INDEX task_history_task ON task_history (task_id, at);

-- Every agent may know who is in the family; what configures an agent is its own.
CREATE VIEW agent_registry AS
  SELECT id, name, role, status, created_at, updated_at FROM agents;

-- Whom a team's lead would have as a member: what an agent has for its team is shown to no team that it
-- did not join.
CREATE TABLE team_invitations (
  team_id TEXT NOT NULL REFERENCES teams (id) ON DELETE CASCADE,
  session_key TEXT NOT NULL,
  agent_id TEXT NOT NULL,
  role TEXT NOT NULL DEFAULT 'worker' CHECK (role IN ('lead', 'worker')),
  label TEXT,
  invited_by TEXT NOT NULL,
  invited_at TEXT NOT NULL,
  PRIMARY KEY (team_id, session_key)
);
CREATE INDEX team_invitations_agent ON team_invitations (agent_id);
