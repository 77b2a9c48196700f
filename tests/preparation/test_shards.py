"""Shard folders: content equal to the pairs, for any partitioning."""

import shutil
from datetime import UTC, datetime
from pathlib import Path

import pytest
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F

from recsys_spark.config.load import load_config
from recsys_spark.config.split import split_id
from recsys_spark.core.shard_spec import ShardSpec
from recsys_spark.models.popularity import PopularityScorer
from recsys_spark.models.training_plan import plan_training
from recsys_spark.preparation.shard_sets import ShardSet, plan_shards
from recsys_spark.preparation.shards import read_complete_manifest, write_shards
from recsys_spark.preparation.sparse_rows import sparse_rows, with_held_out
from recsys_spark.preparation.training_pairs import interactions_key, training_pairs
from recsys_spark.recommend.popular_groups import popular_scorer
from recsys_spark.recommend.user_lists import lists_fingerprint
from recsys_spark.storage.shard_format import Manifest
from recsys_spark.training.shard_loader import read_file
from tests.conftest import Workspace

PAIRS = "user_idx INT, item_idx INT, play_count BIGINT, rating DOUBLE, last_played_at TIMESTAMP"
INPUTS = {"interactions": 3}
Row = tuple[list[int], list[float]]


@pytest.fixture(scope="module")
def pairs(spark: SparkSession) -> DataFrame:
    """Return pairs of 600 users.

    Items with higher numbers were played earlier; every third pair has no rating.
    """
    rows = [
        (
            user,
            item,
            user % 3 + 1,
            None if (user + item) % 3 == 0 else float(item % 5 + 1),
            datetime(2025, 1, 1 + (20 - item) % 28, tzinfo=UTC),
        )
        for user in range(600)
        for item in range(20)
        if (user * 7 + item * 3) % 5 < 2
    ]
    return spark.createDataFrame(rows, PAIRS).cache()


def expected(pairs: DataFrame, row: str, column: str, value: str, order: str) -> dict[int, Row]:
    found: dict[int, Row] = {}
    selected = pairs.select(row, column, F.expr(value).cast("float").alias("value")).where("value IS NOT NULL")
    for pair in selected.join(pairs, on=[row, column], how="inner").orderBy(row, order).collect():
        columns, values = found.setdefault(pair[row], ([], []))
        columns.append(pair[column])
        values.append(pair["value"])
    return found


def stored(folder: Path, manifest: Manifest) -> dict[int, Row]:
    found = {}
    for file in manifest.files:
        rows = read_file(folder, file)
        for place, number in enumerate(rows.numbers.tolist()):
            entries = rows.entries.between(place, place + 1)
            assert number not in found
            found[number] = (entries.indices.tolist(), entries.values.tolist())
    return found


@pytest.mark.parametrize(
    ("shard_spec", "row", "column", "value", "order"),
    [
        (ShardSpec(), "user_idx", "item_idx", "1.0", "item_idx"),
        (ShardSpec(values="confidence", order="time"), "user_idx", "item_idx", "log1p(play_count)", "last_played_at"),
        (ShardSpec(rows="items", values="rating"), "item_idx", "user_idx", "rating", "user_idx"),
    ],
)
def test_shards_hold_every_pair_in_the_form_of_the_shard_spec(
    pairs: DataFrame, tmp_path: Path, shard_spec: ShardSpec, row: str, column: str, value: str, order: str
) -> None:
    manifest = write_shards(sparse_rows(pairs, shard_spec), tmp_path / "shards", shard_spec, (600, 20), 3, 7, INPUTS)
    found, wanted = stored(tmp_path / "shards", manifest), expected(pairs, row, column, value, order)
    assert found == wanted
    assert (manifest.rows, manifest.non_zeros) == (len(wanted), sum(len(columns) for columns, _ in wanted.values()))


def test_without_times_a_history_is_in_a_stable_hashed_order(
    pairs: DataFrame,
) -> None:
    untimed = pairs.withColumn("last_played_at", F.lit(None).cast("timestamp"))

    def histories(frame: DataFrame) -> dict[int, list[int]]:
        return {row["row_idx"]: row["indices"] for row in sparse_rows(frame, ShardSpec(order="time")).collect()}

    first = histories(untimed)
    assert histories(untimed.orderBy(F.desc("item_idx")).repartition(5)) == first
    long = [items for items in first.values() if len(items) > 5]
    assert long and not any(items in (sorted(items), sorted(items, reverse=True)) for items in long)


def test_equal_rows_give_equal_files_for_any_partitioning(pairs: DataFrame, tmp_path: Path) -> None:
    def payloads(name: str, frame: DataFrame, seed: int) -> list[str]:
        rows = sparse_rows(frame, ShardSpec())
        return [
            file.payload for file in write_shards(rows, tmp_path / name, ShardSpec(), (600, 20), 4, seed, INPUTS).files
        ]

    first = payloads("a", pairs, 7)
    assert len(first) == 4
    assert payloads("b", pairs.orderBy(F.desc("item_idx")).repartition(5), 7) == first
    assert payloads("c", pairs, 8) != first


def test_held_out_entries_are_beside_their_row_also_without_input_entries(pairs: DataFrame, tmp_path: Path) -> None:
    shard_spec = ShardSpec()
    held_out, others = pairs.where("item_idx < 5"), pairs.where("item_idx >= 5 AND user_idx <> 1")
    rows = with_held_out(sparse_rows(others, shard_spec), sparse_rows(held_out, shard_spec))
    manifest = write_shards(rows, tmp_path / "shards", shard_spec, (600, 20), 2, 7, INPUTS)
    assert manifest.held_non_zeros == held_out.count()
    users = {row[0] for row in held_out.select("user_idx").distinct().collect()}
    assert manifest.rows == len(users)
    seen = [read_file(tmp_path / "shards", file) for file in manifest.files]
    lengths = {
        number: (length, held)
        for rows in seen
        if rows.held is not None
        for number, length, held in zip(
            rows.numbers.tolist(), rows.entries.lengths().tolist(), rows.held.lengths().tolist(), strict=True
        )
    }
    assert lengths[1][0] == 0 < lengths[1][1]


def test_a_complete_folder_is_used_again_and_any_other_is_replaced(pairs: DataFrame, tmp_path: Path) -> None:
    folder = tmp_path / "shards"

    def write() -> Manifest:
        return write_shards(sparse_rows(pairs, ShardSpec()), folder, ShardSpec(), (600, 20), 2, 7, INPUTS)

    manifest = write()
    times = {file.name: file.stat().st_mtime_ns for file in folder.iterdir()}
    assert write() == manifest
    assert {file.name: file.stat().st_mtime_ns for file in folder.iterdir()} == times
    assert read_complete_manifest(folder, {"interactions": 4}) is None, "made from other inputs"
    (folder / manifest.files[0].name).unlink()
    (folder / "part-of-another-run.parquet").write_bytes(b"PAR1")
    assert read_complete_manifest(folder, INPUTS) is None
    assert write().digest == manifest.digest
    assert {file.name for file in folder.iterdir()} == times.keys()


def test_tables_created_again_get_new_shards_counts_and_names(workspace: Workspace) -> None:
    """A dropped and rebuilt table has the same version numbers as before."""
    config = load_config(["--tables.root", str(workspace.root)], {})

    def build(item: int) -> tuple[ShardSet, Path, set[str]]:
        for name in ("user_index", "item_index", "interactions"):
            shutil.rmtree(workspace.root / name, ignore_errors=True)
        tables = workspace.tables()
        tables.ensure("users")
        for side, count in (("user", 3), ("item", 9)):
            index = workspace.spark.range(count).selectExpr(
                f"CONCAT('{side}', id) AS {side}_id", f"INT(id) AS {side}_idx"
            )
            tables.overwrite(f"{side}_index", index)
        plays = [(user, item, 1, 4.0, None) for user in range(3)]
        tables.overwrite("interactions", workspace.spark.createDataFrame(plays, PAIRS))
        pairs = training_pairs(tables, config)
        shards = plan_shards(tables, config, pairs, ShardSpec())
        shards.write(pairs, 2, 1)
        scorer = popular_scorer(tables, config)
        assert isinstance(scorer, PopularityScorer)
        assert scorer.matrix.whole()[:, 0].nonzero()[0].tolist() == [item]
        assert popular_scorer(tables, config) == scorer
        assert plan_shards(tables, config, pairs, ShardSpec()).train == shards.train
        names = {
            plan_training(tables, config, "als").version,
            split_id(config.split.model_copy(update={"protocol": "strong_random"}), 1, interactions_key(tables)),
            lists_fingerprint(tables, config),
        }
        return shards, Path(scorer.matrix.folder), names

    (first, first_counts, first_names), (second, second_counts, second_names) = build(4), build(7)
    versions = workspace.versions()
    assert versions == dict.fromkeys(("user_index", "item_index", "interactions"), 1) | {"users": 0}
    assert first.train != second.train and first_counts != second_counts
    assert not first_names & second_names
    for shards, item in ((first, 4), (second, 7)):
        manifest = Manifest.read(shards.train)
        assert stored(shards.train, manifest) == {user: ([item], [1.0]) for user in range(3)}
