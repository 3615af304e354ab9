-- Claims on tasks, their history, and what a team sees of them; the registry of agents.

-- A claim is a lease: when it runs out, another may claim the task.
ALTER TABLE tasks ADD COLUMN claim_id text COLLATE "C", ADD COLUMN claim_expires_at timestamptz;
CREATE UNIQUE INDEX tasks_claim ON tasks (claim_id) WHERE claim_id IS NOT NULL;
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

-- No foreign key: who deleted a task is known afterwards, too.
CREATE TABLE task_history (
  id text COLLATE "C" PRIMARY KEY,
  task_id text COLLATE "C" NOT NULL,
  agent_id text COLLATE "C" NOT NULL,
  what text NOT NULL CHECK (what IN
    ('updated', 'moved', 'claimed', 'released', 'handed_off', 'deleted')),
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
