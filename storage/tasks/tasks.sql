-- name: create_task
-- The same task again is no news; another one with an id that is taken violates NOT NULL.
INSERT INTO tasks (
  id, agent_id, title, description, status, priority, source, assignee, started_at, completed_at,
  due_at, session_id, channel_id, parent_task_id, depends_on, team_id, tags, metadata, created_at,
  updated_at, claim_id, claim_expires_at
) VALUES (
  $1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, $18, $19, $20, $21, $22
)
ON CONFLICT (id) DO UPDATE SET created_at =
  CASE WHEN tasks.created_at = excluded.created_at THEN tasks.created_at END;

-- name: task_to_change
-- %s: the columns, and how the row is locked. $2 is the agent that would change it.
SELECT %s FROM tasks WHERE id = $1 AND {changeable_tasks} %s;

-- name: update_task
-- %s is the list of assignments, from $2 on.
UPDATE tasks SET %s WHERE id = $1 RETURNING id;

-- name: delete_task
DELETE FROM tasks WHERE id = $1;

-- name: record_change
INSERT INTO task_history (id, task_id, agent_id, what, changes, at)
VALUES ($1, $2, $3, $4, $5, $6)
ON CONFLICT (id) DO NOTHING;

-- name: is_recorded
SELECT 1 FROM task_history WHERE id = $1;

-- name: get_task
-- By the whole id, or by how it begins: $3 is the first id behind all that begin with $2.
SELECT %s FROM tasks WHERE id >= $2 AND id < $3 AND {visible_tasks} ORDER BY id LIMIT 2;

-- name: list_tasks
-- %(filters)s: more conditions, from $4 on; %(queue)s: the most urgent first.
SELECT %(columns)s FROM tasks WHERE {visible_tasks} %(filters)s
ORDER BY %(queue)s LIMIT $2 OFFSET $3;

-- name: ready
-- What the agent can work on now, the best first: what is pending for it or for whoever comes, and
-- what a claimer still holds whose lease ran out by $2. Each half by an index of its own.
-- %(filters)s: more conditions, from $4 on; %(lock)s: how rows are locked; %(by_lease)s and
-- %(by_queue)s: the indexes, where they must be named.
WITH lapsed AS (
  SELECT %(columns)s FROM tasks %(by_lease)s
  WHERE status = 'in_progress' AND claim_expires_at <= $2 AND {visible_tasks} %(filters)s
  ORDER BY %(queue)s LIMIT $3 %(lock)s
), pending AS (
  SELECT %(columns)s FROM tasks %(by_queue)s
  WHERE status = 'pending' AND ($1 = '' OR assignee IS NULL OR assignee = $1)
    AND {visible_tasks} %(filters)s
  ORDER BY %(queue)s LIMIT $3 %(lock)s
)
SELECT * FROM (SELECT * FROM lapsed UNION ALL SELECT * FROM pending) AS found
ORDER BY %(queue)s LIMIT $3;

-- name: claim_tasks
-- %s: as many placeholders as there are ids, from $5 on.
UPDATE tasks SET
  status = 'in_progress', assignee = $1, claim_id = $2, claim_expires_at = $3,
  started_at = COALESCE(started_at, $4), updated_at = $4
WHERE id IN (%s);

-- name: extend_claim
UPDATE tasks SET
  claim_expires_at = CASE WHEN claim_expires_at < $3 THEN $3 ELSE claim_expires_at END
WHERE claim_id = $1 AND assignee = $2 RETURNING id;

-- name: claimed
SELECT %(columns)s FROM tasks
WHERE claim_id = $2 AND ($1 = '' OR assignee = $1) AND {visible_tasks} ORDER BY %(queue)s;

-- name: list_changes
SELECT %s FROM task_history
WHERE task_id = $2 AND {visible_changes} ORDER BY at, id LIMIT $3 OFFSET $4;

-- name: get_change
SELECT %s FROM task_history WHERE id = $2 AND {visible_changes};

-- name: list_below
-- The tasks of project $2, and of the projects in it; no further than $3 of them.
WITH RECURSIVE below (id) AS (
  SELECT id FROM tasks WHERE parent_task_id = $2 AND {visible_tasks}
  UNION
  SELECT tasks.id FROM below JOIN tasks ON tasks.parent_task_id = below.id WHERE {visible_tasks}
)
SELECT %s FROM tasks WHERE id IN (SELECT id FROM below) AND {visible_tasks}
ORDER BY created_at, id LIMIT $3;

-- name: list_completed
-- Which of some tasks are completed. %s: as many placeholders as there are ids, from $2 on.
SELECT id FROM tasks WHERE id IN (%s) AND status = 'completed' AND {visible_tasks};
