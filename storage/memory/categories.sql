-- name: create
-- The same category again is no news; another one with an id that is taken violates NOT NULL.
INSERT INTO categories (
  id, agent_id, name, description, embedding, summary, created_at, updated_at
) VALUES ($1, $2, $3, $4, $5, $6, $7, $8)
ON CONFLICT (id) DO UPDATE SET created_at = CASE WHEN categories.agent_id = excluded.agent_id
  AND categories.created_at = excluded.created_at THEN categories.created_at END;

-- name: ensure
INSERT INTO categories (
  id, agent_id, name, description, embedding, summary, created_at, updated_at
) VALUES ($1, $2, $3, $4, $5, $6, $7, $8)
ON CONFLICT (agent_id, name) DO NOTHING;

-- name: update
-- %s is the list of assignments, from $3 on.
UPDATE categories SET %s WHERE id = $1 AND agent_id = $2 RETURNING id;

-- name: delete
DELETE FROM categories WHERE id = $1 AND agent_id = $2;

-- name: link
-- Nothing comes back where the item or the category is not the agent's ($3).
INSERT INTO item_categories (item_id, category_id)
SELECT memory_items.id, categories.id FROM memory_items
JOIN categories ON categories.agent_id = memory_items.agent_id
WHERE memory_items.id = $1 AND categories.id = $2 AND memory_items.agent_id = $3
ON CONFLICT (item_id, category_id) DO UPDATE SET item_id = excluded.item_id
RETURNING item_id;

-- name: unlink
DELETE FROM item_categories WHERE item_id = $1 AND category_id = $2 AND EXISTS (
  SELECT 1 FROM categories WHERE categories.id = $2 AND categories.agent_id = $3);

-- name: get_category
SELECT %s FROM categories WHERE id = $2 AND {own categories};

-- name: find_category
SELECT %s FROM categories WHERE name = $2 AND {own categories} ORDER BY created_at, id LIMIT 1;

-- name: list_categories
SELECT %s FROM categories WHERE {own categories} ORDER BY name, id LIMIT $2 OFFSET $3;

-- name: count_categories
SELECT %s, (
  SELECT count(*) FROM item_categories AS link JOIN memory_items ON memory_items.id = link.item_id
  WHERE link.category_id = categories.id AND {shared memory_items})
FROM categories WHERE {own categories} ORDER BY name, id LIMIT $2 OFFSET $3;

-- name: categories_of_item
SELECT %s FROM categories
JOIN item_categories AS link ON link.category_id = categories.id
JOIN memory_items ON memory_items.id = link.item_id
WHERE link.item_id = $2 AND {own categories} AND {shared memory_items}
ORDER BY categories.name, categories.id;
