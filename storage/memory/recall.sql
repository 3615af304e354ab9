-- name: bonds
-- Of the items that %s stands for: the strongest bond to what each mentions.
SELECT link.item_id, max(entities.bond_strength) FROM item_entities AS link
JOIN entities ON entities.id = link.entity_id
WHERE link.item_id IN (%s) AND {shared entities}
GROUP BY link.item_id;
