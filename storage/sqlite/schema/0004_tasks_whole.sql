-- Claims on tasks, their history, and what a team sees of them; the registry of agents.

-- A claim is a lease: when it runs out, another may claim the task.
ALTER TABLE tasks ADD COLUMN claim_id TEXT;
ALTER TABLE tasks ADD COLUMN claim_expires_at TEXT;
CREATE UNIQUE INDEX tasks_claim ON tasks (claim_id) WHERE claim_id IS NOT NULL;
CREATE INDEX tasks_claimed_until ON tasks (claim_expires_at) WHERE claim_expires_at IS NOT NULL;
CREATE INDEX tasks_ready ON tasks (
  (CASE priority WHEN 'urgent' THEN 0 WHEN 'high' THEN 1 WHEN 'normal' THEN 2 WHEN 'low' THEN 3
    ELSE 4 END), (CASE WHEN due_at IS NULL THEN 1 ELSE 0 END), due_at, created_at, id)
  WHERE status = 'pending';
CREATE INDEX tasks_team ON tasks (team_id) WHERE team_id IS NOT NULL;

-- No foreign key: who deleted a task is known afterwards, too.
CREATE TABLE task_history (
  id TEXT PRIMARY KEY NOT NULL,
  task_id TEXT NOT NULL,
  agent_id TEXT NOT NULL,
  what TEXT NOT NULL CHECK (what IN
    ('updated', 'moved', 'claimed', 'released', 'handed_off', 'deleted')),
  changes TEXT NOT NULL DEFAULT '{}',
  at TEXT NOT NULL
);
CREATE INDEX task_history_task ON task_history (task_id, at);

-- Every agent may know who is in the family; what configures an agent is its own.
CREATE VIEW agent_registry AS
  SELECT id, name, role, status, created_at, updated_at FROM agents;
