"""Descriptions of tables and columns, for the documentation and for SQL users."""

__all__ = ["COLUMNS", "ROWS", "column_description"]

# Table -> one row of it.
ROWS = {
    "plays": "One play, total or rating, as delivered. Append-only, except for reprocessed files.",
    "plays_quarantine": "One refused row of a raw file, with all reasons.",
    "ingested_files": "One version of a raw file and the result of its ingestion.",
    "users": "One user, as last stated by a profile or a play.",
    "items": "One item, as last stated by a catalogue or a play.",
    "user_index": "The permanent number of one user.",
    "item_index": "The permanent number of one item.",
    "interactions": "One pair of user and item, over all sources.",
    "splits": "One pair in one part of a split.",
    "models": "One trained model version: settings, inputs, metrics, and the tables that it serves.",
    "user_vectors": "The vector of one user in one model version.",
    "item_vectors": "The vector of one item in one model version.",
    "item_similarity": "One neighbour of an item.",
    "recommendations": "One position in the list of a user.",
    "gender_predictions": "The predicted gender of one user.",
    "evaluations": "One metric of one model version on one slice of users of a part of a split.",
    "trials": "One set of settings that a search tried, with its validation metric.",
    "suppressions": "The keyed hash of one user who is excluded, or of an empty id (scope key).",
    "job_runs": "One run of a job.",
}

# Columns that mean the same in every table.
_SHARED = {
    "user_id": "Id of the user, as delivered.",
    "item_id": "Id of the item, as delivered; `name:` and the name where the source has no id.",
    "user_idx": "Number of the user in user_index, contiguous from 0.",
    "item_idx": "Number of the item in item_index, contiguous from 0.",
    "source": "Name of the source (source.name).",
    "source_file": "Absolute URI of the raw file.",
    "ingested_at": "Time of the ingestion, UTC.",
    "run_id": "Run that wrote the row; see job_runs.",
    "model_version": "Version of the model; see models.",
    "algorithm": "Kind of the model, such as als.",
    "split_id": "Split that the model was trained or evaluated on; see splits.",
    "attributes": "Further fields of the source, by name.",
    "updated_at": "Time of the last change, UTC.",
    "created_at": "Time of creation, UTC.",
    "rating": "Latest rating of the pair; null without one.",
    "position": "Place in the list; 1 is the best.",
    "vector": "Coordinates of the model.",
    "seed": "Seed of all random choices (run.seed).",
    "status": "State: see the reference of this table.",
    "params": "Settings, as JSON.",
    "metric": "Name of the metric, such as ndcg@10.",
    "value": "Value of the metric.",
    "protocol": "Protocol of the split, such as strong_random.",
    "part": "Part of the split: train, validation, test, fold_in, held_out_validation or held_out_test.",
    "last_played_at": "Time of the last play of the pair, UTC; null without times.",
    "inputs": "Versions of the tables that were read, as JSON.",
}

# Table -> column -> meaning, where it differs from the shared one.
_OWN = {
    "plays": {
        "event_id": "Hash that identifies the play: equal ids are one play.",
        "play_count": "Number of plays, at least 1; 1 for an event or a rating.",
        "rating": "Rating as delivered; null if the row has none.",
        "played_at": "Time of the play, UTC; null if the row has none.",
        "kind": "Kind of the row: events, totals or ratings (source.kind).",
        "file_modified_at": "Modification time of the raw file, UTC.",
    },
    "plays_quarantine": {
        "raw": "The row as it stands in the file, up to 10,000 characters; of Parquet as JSON.",
        "reasons": "All reasons for the refusal; some name the setting that reads such rows.",
    },
    "ingested_files": {
        "batch_id": "Number of the batch that read the file.",
        "size": "Size of the file in bytes.",
        "modified_at": "Modification time of the file, UTC.",
        "status": "started, ingested or refused.",
        "rows_read": "Rows in the file.",
        "rows_valid": "Rows that became plays or profiles.",
        "rows_duplicate": "Rows that repeat a play, and totals or ratings below another one of the same file.",
        "rows_quarantined": "Rows in plays_quarantine.",
        "settings_hash": "Hash of the source.* settings that decide how rows are read.",
        "reprocess": "True if the file was read again by source.reprocess.",
    },
    "users": {
        "gender": "Stated gender: f, m, or another value in lower case; null if unknown.",
        "age": "Stated age in years; null if unknown.",
        "country": "Stated country; null if unknown.",
    },
    "items": {"name": "Name of the item."},
    "interactions": {"play_count": "Sum of plays over all sources."},
    "splits": {"play_count": "Sum of plays over all sources, up to the cutoff of a split by time."},
    "models": {
        "split_id": "Split that the model was trained on; null if trained on everything.",
        "parent_version": "Model on a split whose settings this one uses; its evaluation stands for this one.",
        "metrics": "Metrics of training, by name.",
        "selection_metric": "Metric that versions of this kind are compared by.",
        "artifact": "Folder of the model's files, below files.root.",
        "serves": "Output tables whose current rows are those of this version.",
        "published_at": "Time of publication, UTC.",
        "retired_at": "Time when another version took its place, UTC.",
        "gate": "Result of the quality gate at publication, as JSON.",
    },
    "item_similarity": {
        "similar_item_id": "Id of the neighbour.",
        "similarity": "Cosine of the two item vectors, from -1 to 1; of item_knn by similarity.method, from 0 to 1.",
    },
    "recommendations": {
        "score": "Score of the model; comparable within one list only.",
        "origin": "Source of the position: model, fold_in, content or popular.",
    },
    "gender_predictions": {
        "gender": "Predicted gender; null below the confidence limit.",
        "probability": "Calibrated probability of the likelier gender.",
        "probabilities": "Calibrated probability of each gender.",
        "known_items": "Number of the user's items that the model was trained on.",
    },
    "evaluations": {
        "dataset": "Sources of the data.",
        "slice": "Users that the metric covers: all, or such as known_items=2-5.",
        "ci_low": "Lower bound of the 95 % interval, by bootstrap over users; null without draws.",
        "ci_high": "Upper bound of the 95 % interval.",
        "users": "Number of users in the slice.",
        "model_version": "Evaluated model version, or the name of a baseline.",
    },
    "trials": {
        "study": "Search that the trial belongs to.",
        "number": "Number of the trial in its search.",
        "state": "complete, pruned or fail.",
        "epochs": "Epochs of training; null for models without epochs.",
        "seconds": "Duration in seconds.",
        "value": "Value of the metric on validation data.",
    },
    "suppressions": {
        "user_hash": "Keyed hash of the user id.",
        "scope": "all, gender, or key: the one row by which another key is detected.",
    },
    "job_runs": {
        "job": "Name of the job.",
        "run_id": "Id of the run.",
        "started_at": "Start, UTC.",
        "finished_at": "End, UTC.",
        "status": "done or failed.",
        "exit_code": "Exit code; see the reference of exit codes.",
        "rows": "Row counts by name.",
        "outputs": "Versions of the tables that were written, as JSON.",
        "params": "Configuration of the run, as JSON.",
        "error": "Error message; null if done.",
    },
}

COLUMNS = {table: {**_SHARED, **_OWN.get(table, {})} for table in ROWS}


def column_description(table: str, column: str) -> str:
    """Return the meaning of a column; KeyError for a column without one."""
    return COLUMNS[table][column]
