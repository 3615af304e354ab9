-- What is indexed with an item, such as the turns of a conversation around it. Its words have the
-- label C, those of the item itself D: `search.sql` says what each counts for.

ALTER TABLE memory_items ADD COLUMN context text;
-- The index goes with the column.
ALTER TABLE memory_items DROP COLUMN words;
ALTER TABLE memory_items ADD COLUMN words tsvector GENERATED ALWAYS AS (
  argentbus_words(summary || coalesce(' ' || reflection, '') || coalesce(' ' || lesson, ''))
  || setweight(argentbus_words(coalesce(context, '')), 'C')) STORED;
CREATE INDEX memory_items_words ON memory_items USING gin (words);
