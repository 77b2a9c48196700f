"""Text of Delta statements."""

from recsys_spark.storage.schemas import TABLES
from recsys_spark.storage.statements import create_statement, merge_statement, view_statement


def test_a_merge_without_updates_and_deletions_only_appends() -> None:
    insert = merge_statement("t", "v", ("a", "b"), None, None, ("a", "b", "n"), deletes=False)
    assert insert == (
        "MERGE INTO t AS old USING v AS new ON old.a <=> new.a AND old.b <=> new.b"
        " WHEN NOT MATCHED AND NOT new.removed THEN INSERT (a, b, n) VALUES (new.a, new.b, new.n)"
    )


def test_a_row_is_deleted_before_it_could_be_updated() -> None:
    whole = merge_statement("t", "v", ("a",), {"n": "old.n + new.n"}, "old.n < :limit", ("a",), deletes=True)
    delete, update = whole.index("WHEN MATCHED AND new.removed THEN DELETE"), whole.index("WHEN MATCHED AND (old.n")
    assert delete < update and whole.endswith("INSERT (a) VALUES (new.a)")
    assert "WHEN MATCHED THEN UPDATE SET n = 1" in merge_statement("t", "v", ("a",), {"n": "1"}, None, ("a",), False)


def test_comments_are_quoted() -> None:
    created = create_statement("s.items", TABLES["items"], in_catalog=True)
    assert "`name` STRING COMMENT 'Name of the item.'" in created and "USING DELTA COMMENT 'One item, " in created
    assert "COMMENT" not in create_statement("s.items", TABLES["items"])
    assert view_statement("s.v", "users", "SELECT 1").endswith("version only.' AS SELECT 1")
