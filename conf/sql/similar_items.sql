-- The nearest neighbours of an item, by its name, from the model that serves (tables addressed by path).
-- spark.sql(query, args={"name": "..."}) after CREATE TEMP VIEW for each table, or run as it stands in the schema.
SELECT s.position, other.name AS similar_item, s.similarity
FROM item_similarity s
JOIN models m ON m.model_version = s.model_version AND array_contains(m.serves, 'item_similarity')
JOIN items i ON i.item_id = s.item_id
JOIN items other ON other.item_id = s.similar_item_id
WHERE i.name = :name
ORDER BY s.position
