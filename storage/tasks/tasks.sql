-- name: create_task
-- The same task again is no news; another one with an id that is taken violates NOT NULL.
INSERT INTO tasks (
  id, agent_id, title, description, status, priority, source, assignee, started_at, completed_at,
  due_at, session_id, channel_id, parent_task_id, depends_on, team_id, tags, metadata, created_at,
  updated_at
) VALUES (
  $1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, $18, $19, $20
)
ON CONFLICT (id) DO UPDATE SET created_at =
  CASE WHEN tasks.created_at = excluded.created_at THEN tasks.created_at END;

-- name: status_of
SELECT status FROM tasks WHERE id = $1;

-- name: update_task
-- %s is the list of assignments, from $3 on. $2 is the agent; empty for operators.
UPDATE tasks SET %s
WHERE id = $1 AND ($2 = '' OR agent_id = $2 OR assignee = $2 OR agent_id IS NULL)
RETURNING id;

-- name: move_task
UPDATE tasks SET
  status = $3,
  started_at = CASE WHEN $3 = 'in_progress' THEN COALESCE(started_at, $4) ELSE started_at END,
  completed_at = CASE WHEN $3 IN ('completed', 'failed', 'cancelled') THEN $4 ELSE NULL END,
  updated_at = $4
WHERE id = $1 AND ($2 = '' OR agent_id = $2 OR assignee = $2 OR agent_id IS NULL)
RETURNING metadata;

-- name: delete_task
DELETE FROM tasks
WHERE id = $1 AND ($2 = '' OR agent_id = $2 OR assignee = $2 OR agent_id IS NULL);

-- name: set_metadata
UPDATE tasks SET metadata = $2 WHERE id = $1;

-- name: get_task
-- By the whole id, or by how it begins: $3 is the first id behind all that begin with $2.
SELECT %s FROM tasks WHERE id >= $2 AND id < $3 AND {visible_tasks} ORDER BY id LIMIT 2;

-- name: list_tasks
-- The most urgent first, then by due date, then by age. Empty filters stand for any value.
SELECT %s FROM tasks
WHERE {visible_tasks}
  AND ($2 = '' OR status = $2)
  AND ($3 = '' OR priority = $3)
  AND ($4 = '' OR assignee = $4)
  AND ($5 = '' OR parent_task_id = $5)
ORDER BY
  CASE priority WHEN 'urgent' THEN 0 WHEN 'high' THEN 1 WHEN 'normal' THEN 2 WHEN 'low' THEN 3
    ELSE 4 END,
  CASE WHEN due_at IS NULL THEN 1 ELSE 0 END, due_at, created_at, id
LIMIT $6 OFFSET $7;
