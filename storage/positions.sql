-- name: get
SELECT partition, epoch, entry_id, fence FROM positions;

-- name: put
INSERT INTO positions (partition, epoch, entry_id, fence) VALUES ($1, $2, $3, $4)
ON CONFLICT (partition) DO UPDATE SET
  epoch = excluded.epoch, entry_id = excluded.entry_id, fence = excluded.fence;
