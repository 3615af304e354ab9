-- name: lessons_by_tool
-- About the tool $2, the surest first.
SELECT %s FROM lessons
WHERE {shared lessons}
  AND EXISTS (SELECT 1 FROM json_each(lessons.related_tools) WHERE value = $2)
ORDER BY confidence DESC, occurrences DESC, last_seen DESC, id DESC LIMIT $3 OFFSET $4;
