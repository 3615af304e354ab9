-- name: unblock
-- Tasks that waited for $1, and now wait for nothing else.
UPDATE tasks SET status = 'pending', updated_at = $2
WHERE status = 'blocked' AND depends_on ? $1
  AND NOT EXISTS (
    SELECT 1 FROM jsonb_array_elements_text(tasks.depends_on) AS needed (id)
    LEFT JOIN tasks AS other ON other.id = needed.id
    WHERE other.status IS NULL OR other.status <> 'completed'
  );
