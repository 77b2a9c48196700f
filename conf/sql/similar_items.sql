-- Nearest neighbours of an item in the serving model, by name, nearest first.
SELECT s.position, COALESCE(other.name, other.item_id) AS similar_item, s.similarity
FROM item_similarity s
JOIN models m ON m.model_version = s.model_version AND array_contains(m.serves, 'item_similarity')
JOIN items i ON i.item_id = s.item_id
JOIN items other ON other.item_id = s.similar_item_id
WHERE COALESCE(i.name, i.item_id) = :name
ORDER BY s.item_id, s.position
