-- Recommendations of the serving model for one user, best first.
SELECT r.position, COALESCE(i.name, r.item_id) AS item, r.score, r.origin
FROM recommendations r
JOIN models m ON m.model_version = r.model_version AND array_contains(m.serves, 'recommendations')
LEFT JOIN items i ON i.item_id = r.item_id
WHERE r.user_id = :user_id
ORDER BY r.position
