"""Constraints of the Delta tables: columns without nulls, and conditions on values.

New tables are created with them; tables of earlier releases stay as they are. Each stays in force in the tables that
were created with it, so a release that writes further values has to drop it there first. Lists that grow with releases,
such as the kinds of models, are therefore no constraints.
"""

__all__ = ["COUNTS", "MINIMUM", "NULLABLE", "VALUES", "checks"]

# Columns of a table that may be null. Forgotten users and items keep their number without an id.
NULLABLE = {
    "plays": "rating played_at",
    "plays_quarantine": "raw",
    "ingested_files": "rows_read rows_valid rows_duplicate rows_quarantined",
    "users": "gender age country attributes",
    "items": "name attributes",
    "user_index": "user_id",
    "item_index": "item_id",
    "interactions": "rating last_played_at",
    "splits": "rating last_played_at",
    "models": "split_id parent_version selection_metric published_at retired_at gate",
    "gender_predictions": "gender",
    "evaluations": "ci_low ci_high",
    "trials": "value epochs seconds",
    "job_runs": "error",
}

# Values of states and of other columns whose values the contract with SQL users lists.
VALUES: dict[tuple[str, str], tuple[str, ...]] = {
    ("plays", "kind"): ("events", "totals", "ratings"),
    ("ingested_files", "status"): ("started", "ingested", "refused"),
    ("splits", "part"): ("fold_in", "held_out_test", "held_out_validation", "test", "train", "validation"),
    ("recommendations", "origin"): ("model", "fold_in", "content", "popular"),
    ("trials", "state"): ("complete", "pruned", "fail"),
    ("suppressions", "scope"): ("all", "gender", "key"),
    ("job_runs", "status"): ("done", "failed"),
}

# Smallest values of counts of plays and of positions.
MINIMUM = {
    ("plays", "play_count"): 1,
    ("interactions", "play_count"): 1,
    ("splits", "play_count"): 1,
    ("item_similarity", "position"): 1,
    ("recommendations", "position"): 1,
}

# Further numbers that count from 0.
COUNTS = {
    "ingested_files": "size rows_read rows_valid rows_duplicate rows_quarantined",
    "user_index": "user_idx",
    "item_index": "item_idx",
    "interactions": "user_idx item_idx",
    "splits": "user_idx item_idx",
    "user_vectors": "user_idx",
    "item_vectors": "item_idx",
    "gender_predictions": "known_items",
    "evaluations": "users",
    "trials": "number epochs seconds",
    "job_runs": "exit_code",
}

# NaN is larger than any number and fails these. A cosine of rounded vectors may exceed 1 a little.
_RANGES = {
    ("item_similarity", "similarity"): "similarity BETWEEN -1.001 AND 1.001",
    ("recommendations", "score"): "score BETWEEN -1e308 AND 1e308",
    ("gender_predictions", "probability"): "probability BETWEEN 0 AND 1",
}


def checks(table: str) -> dict[str, str]:
    """Return column -> SQL condition on its values; all rows of the table fulfil them.

    A condition that is null counts as violated, so nulls are admitted by name.
    """
    conditions = {column: f"{column} >= 0" for column in COUNTS.get(table, "").split()}
    conditions |= {column: f"{column} >= {least}" for (name, column), least in MINIMUM.items() if name == table}
    conditions |= {column: condition for (name, column), condition in _RANGES.items() if name == table}
    for (name, column), values in VALUES.items():
        if name == table:
            conditions[column] = f"{column} IN ({', '.join(repr(value) for value in values)})"
    nullable = NULLABLE.get(table, "").split()
    return {
        column: f"{column} IS NULL OR {condition}" if column in nullable else condition
        for column, condition in conditions.items()
    }
