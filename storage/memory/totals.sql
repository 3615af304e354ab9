-- name: items
SELECT memory_type, significance, visibility, count(*), count(embedding),
  sum(reinforcement_count)
FROM memory_items WHERE {own memory_items}
GROUP BY memory_type, significance, visibility;

-- name: others
SELECT
  (SELECT count(*) FROM resources WHERE {own resources}),
  (SELECT count(*) FROM categories WHERE {own categories}),
  (SELECT count(*) FROM entities WHERE {own entities}),
  (SELECT count(*) FROM reflections WHERE {own reflections}),
  (SELECT count(*) FROM lessons WHERE {own lessons}),
  (SELECT count(*) FROM live_candidates WHERE {own live_candidates}),
  (SELECT count(*) FROM model_feedback WHERE {own model_feedback});
