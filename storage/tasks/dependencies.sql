-- name: is_needed
SELECT 1 FROM task_dependencies WHERE needed_id = $1 LIMIT 1;

-- name: needs
-- Whether $1 waits for $2, by way of others too.
WITH RECURSIVE needed (id) AS (
  SELECT needed_id FROM task_dependencies WHERE task_id = $1
  UNION
  SELECT edge.needed_id FROM needed JOIN task_dependencies AS edge ON edge.task_id = needed.id
)
SELECT 1 FROM needed WHERE id = $2 LIMIT 1;

-- name: is_within
-- Whether $1 is part of $2, by way of others too.
WITH RECURSIVE above (id) AS (
  SELECT parent_task_id FROM tasks WHERE id = $1 AND parent_task_id IS NOT NULL
  UNION
  SELECT tasks.parent_task_id FROM above JOIN tasks ON tasks.id = above.id
  WHERE tasks.parent_task_id IS NOT NULL
)
SELECT 1 FROM above WHERE id = $2 LIMIT 1;

-- name: are_within_themselves
-- Of some tasks, one that is part of itself. %s: as many placeholders as there are ids.
WITH RECURSIVE above (start, id) AS (
  SELECT id, parent_task_id FROM tasks WHERE id IN (%s) AND parent_task_id IS NOT NULL
  UNION
  SELECT above.start, tasks.parent_task_id FROM above JOIN tasks ON tasks.id = above.id
  WHERE tasks.parent_task_id IS NOT NULL
)
SELECT start FROM above WHERE id = start ORDER BY start LIMIT 1;

-- name: count_completed
-- %s: as many placeholders as there are ids.
SELECT count(*) FROM tasks WHERE id IN (%s) AND status = 'completed';

-- name: is_waited_for
-- Whether something is blocked that waits for $1.
SELECT 1 FROM task_dependencies AS edge JOIN tasks ON tasks.id = edge.task_id
WHERE edge.needed_id = $1 AND tasks.status = 'blocked' LIMIT 1;

-- name: unblock
-- Tasks that waited for $1, and now wait for nothing else.
UPDATE tasks SET status = 'pending', updated_at = $2
WHERE status = 'blocked'
  AND id IN (SELECT edge.task_id FROM task_dependencies AS edge WHERE edge.needed_id = $1)
  AND NOT EXISTS (
    SELECT 1 FROM task_dependencies AS edge LEFT JOIN tasks AS other ON other.id = edge.needed_id
    WHERE edge.task_id = tasks.id AND (other.status IS NULL OR other.status <> 'completed')
  )
RETURNING id;
