-- Conditions on memory items. $1 is the reading agent, $2 the value that is asked for.

-- name: agent_id
memory_items.agent_id = $2

-- name: memory_type
memory_items.memory_type = $2

-- name: significance
memory_items.significance = $2

-- name: visibility
memory_items.visibility = $2

-- name: resource_id
memory_items.resource_id = $2

-- name: category_id
memory_items.id IN (
  SELECT link.item_id FROM item_categories AS link
  JOIN categories ON categories.id = link.category_id
  WHERE categories.id = $2 AND {own categories})

-- name: category
memory_items.id IN (
  SELECT link.item_id FROM item_categories AS link
  JOIN categories ON categories.id = link.category_id
  WHERE categories.name = $2 AND {own categories})

-- name: entity_id
memory_items.id IN (
  SELECT link.item_id FROM item_entities AS link JOIN entities ON entities.id = link.entity_id
  WHERE entities.id = $2 AND {shared entities})

-- name: entity
memory_items.id IN (
  SELECT link.item_id FROM item_entities AS link JOIN entities ON entities.id = link.entity_id
  WHERE entities.name = $2 AND {shared entities})

-- name: happened_since
memory_items.happened_at >= $2

-- name: happened_before
memory_items.happened_at < $2

-- name: created_since
memory_items.created_at >= $2

-- name: created_before
memory_items.created_at < $2

-- name: min_reinforcement
memory_items.reinforcement_count >= $2

-- name: shared
-- What others share.
memory_items.visibility <> 'private' AND memory_items.agent_id <> $1
