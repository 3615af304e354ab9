-- name: unblock
-- Tasks that waited for $1, and now wait for nothing else.
UPDATE tasks SET status = 'pending', updated_at = $2
WHERE status = 'blocked'
  AND EXISTS (SELECT 1 FROM json_each(tasks.depends_on) WHERE value = $1)
  AND NOT EXISTS (
    SELECT 1 FROM json_each(tasks.depends_on) AS needed
    LEFT JOIN tasks AS other ON other.id = needed.value
    WHERE other.status IS NULL OR other.status <> 'completed'
  );
