"""Splits: complete, without leaks, and equal for any partitioning."""

from collections import Counter, defaultdict
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pydantic import ValidationError
from pyspark.sql import DataFrame, SparkSession

from recsys_spark.config.split import SplitSettings, split_id
from recsys_spark.core.errors import ConfigError
from recsys_spark.preparation import support
from recsys_spark.preparation.held_out_pairs import held_out_pairs
from recsys_spark.preparation.splits import build_split
from recsys_spark.preparation.support import k_core
from recsys_spark.preparation.training_pairs import training_part
from tests.conftest import Workspace

SCHEMA = "user_idx INT, item_idx INT, play_count BIGINT, rating DOUBLE, last_played_at TIMESTAMP"
START = datetime(2024, 1, 1, tzinfo=UTC)
PROTOCOLS = ["rating_random", "rating_folds", "per_user_random", "strong_random", "strong_time", "last_n"]
Row = tuple[Any, ...]
PartsBy = Callable[[str], dict[str, list[Row]]]


def pairs_of(n_users: int, n_items: int, share: float = 0.4, seed: int = 0) -> list[Row]:
    """Return random pairs with ratings 1 to 5 and random times, a few equal."""
    rng = np.random.default_rng(seed)
    users, items = np.nonzero(rng.random((n_users, n_items)) < share)
    return [
        (int(u), int(i), int(rng.integers(1, 9)), float(rng.integers(1, 6)), time(int(rng.integers(50))))
        for u, i in zip(users, items, strict=True)
    ]


def time(days: int) -> datetime:
    return START + timedelta(days=days)


def settings(protocol: Any, **changed: Any) -> SplitSettings:
    return SplitSettings(protocol=protocol, **({"held_out_users": 4} | changed))


def frame(spark: SparkSession, rows: list[Row]) -> DataFrame:
    return spark.createDataFrame(rows, SCHEMA)


def parts_of(split: DataFrame) -> dict[str, list[Row]]:
    """Return the sorted rows of each part."""
    parts = defaultdict(list)
    for row in split.collect():
        moment = row["last_played_at"]
        parts[row["part"]].append((*row[1:5], None if moment is None else moment.astimezone(UTC)))
    return {part: sorted(rows, key=lambda row: row[:2]) for part, rows in parts.items()}


def users_of(rows: list[Row]) -> set[int]:
    return {row[0] for row in rows}


@pytest.fixture(scope="module")
def rows() -> list[Row]:
    return pairs_of(40, 30)


@pytest.fixture(scope="module")
def parts_by(spark: SparkSession, rows: list[Row]) -> PartsBy:
    """Return a function that splits `rows` by a protocol with seed 1."""
    return cache(lambda protocol: parts_of(build_split(frame(spark, rows), settings(protocol), seed=1)))


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_every_row_is_in_one_part_and_unchanged(rows: list[Row], parts_by: PartsBy, protocol: str) -> None:
    assert sorted(row for part in parts_by(protocol).values() for row in part) == sorted(rows)


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_order_and_partitions_do_not_matter_but_the_seed_does(
    spark: SparkSession, rows: list[Row], parts_by: PartsBy, protocol: str
) -> None:
    moved = frame(spark, rows[::-1]).repartition(7)
    split = build_split(moved, settings(protocol), seed=1)
    assert split.columns == ["part", "user_idx", "item_idx", "play_count", "rating", "last_played_at"]
    assert parts_of(split) == parts_by(protocol)
    assert parts_of(build_split(moved, settings(protocol), seed=2)) != parts_by(protocol)


def test_ratings_are_held_out_by_their_shares(spark: SparkSession) -> None:
    rows = pairs_of(100, 100, share=1)
    split = settings("rating_random", test_share=0.2, validation_share=0.05)
    sizes = {part: len(found) for part, found in parts_of(build_split(frame(spark, rows), split, seed=3)).items()}
    # Four standard deviations of a binomial count of 10,000.
    assert abs(sizes["test"] - 2000) < 160 and abs(sizes["validation"] - 500) < 90


def test_each_user_gives_an_exact_share(spark: SparkSession) -> None:
    """As RecBole counts: shares rounded down, but one pair for the test first, then one for validation."""
    lengths = [1, 2, 3, 9, 19, 20, 30, 100]
    rows = [(u, i, 1, None, None) for u, n in enumerate(lengths) for i in range(n)]
    parts = parts_of(build_split(frame(spark, rows), settings("per_user_random"), seed=1))
    counts = {part: Counter(row[0] for row in found) for part, found in parts.items()}
    assert [counts["test"][u] for u in range(8)] == [0, 1, 1, 1, 1, 2, 3, 10]
    assert [counts["validation"][u] for u in range(8)] == [0, 0, 1, 1, 1, 2, 3, 10]
    # Not the same places of every history.
    assert len({frozenset(row[1] for row in parts["test"] if row[0] == u) for u in (4, 5, 6)}) == 3
    without = settings("per_user_random", validation_share=0.0, test_share=0.5)
    parts = parts_of(build_split(frame(spark, rows), without, seed=1))
    assert [Counter(row[0] for row in parts["test"])[u] for u in range(8)] == [0, 1, 1, 4, 9, 10, 15, 50]
    assert "validation" not in parts


@pytest.mark.parametrize("protocol", ["strong_random", "strong_time"])
def test_held_out_users_leak_nothing_into_training(rows: list[Row], parts_by: PartsBy, protocol: str) -> None:
    parts = parts_by(protocol)
    validation, test = users_of(parts["held_out_validation"]), users_of(parts["held_out_test"])
    assert (len(validation), len(test)) == (4, 4)
    assert not validation & test
    assert users_of(parts["train"]) == set(range(40)) - validation - test
    assert users_of(parts["fold_in"]) == validation | test
    for user in validation | test:
        n = sum(row[0] == user for row in rows)
        held = [row for part in ("held_out_validation", "held_out_test") for row in parts[part] if row[0] == user]
        assert len(held) == max(1, n // 5)
        assert sum(row[0] == user for row in parts["fold_in"]) == n - len(held)


def test_time_cuts_each_history(spark: SparkSession, rows: list[Row]) -> None:
    untimed = (0, 99, 1, 5.0, None)
    parts = parts_of(build_split(frame(spark, [*rows, untimed]), settings("strong_time"), seed=1))
    assert untimed not in [row for part in parts.values() for row in part]
    fold_in = {user: [row[4] for row in parts["fold_in"] if row[0] == user] for user in range(40)}
    held = parts["held_out_validation"] + parts["held_out_test"]
    assert all(max(fold_in[row[0]]) <= row[4] for row in held)


def test_equal_times_are_not_cut_by_the_numbers_of_items(spark: SparkSession) -> None:
    rows = [(u, i, 1, 5.0, time(1)) for u in range(30) for i in range(10)]
    parts = parts_of(build_split(frame(spark, rows), settings("strong_time", held_out_users=9), seed=1))
    held = {row[1] for row in parts["held_out_validation"] + parts["held_out_test"]}
    assert len(held) > 5, "not the last two of each user"


def test_random_fold_in_ignores_time(parts_by: PartsBy) -> None:
    parts = parts_by("strong_random")
    fold_in = {user: [row[4] for row in parts["fold_in"] if row[0] == user] for user in range(40)}
    assert any(max(fold_in[row[0]]) > row[4] for row in parts["held_out_test"])


def test_items_that_training_users_lack_leave_held_out_histories(spark: SparkSession) -> None:
    """Every user has an item of its own; held-out histories keep only items shared with training users."""
    own = [(u, 100 + u, 1, None, None) for u in range(10)]
    shared = [(u, i, 1, None, None) for u in range(10) for i in range(6)]
    parts = parts_of(build_split(frame(spark, own + shared), settings("strong_random", held_out_users=2), seed=1))
    held_out = users_of(parts["held_out_validation"]) | users_of(parts["held_out_test"])
    assert {row[1] for row in parts["train"]} == set(range(6)) | {100 + u for u in range(10) if u not in held_out}
    assert {row[1] for part, found in parts.items() if part != "train" for row in found} == set(range(6))
    lonely = [(u, 1000 * u + i, 1, None, None) for u in range(10) for i in range(5)]
    one = [(u, 0, 1, None, None) for u in range(1, 10)]
    parts = parts_of(build_split(frame(spark, lonely + one), settings("strong_random", held_out_users=2), seed=1))
    assert {row[1] for row in parts["fold_in"]} == {0}
    assert set(parts) == {"train", "fold_in"}


@pytest.mark.parametrize(("share", "expected"), [(0.8, {2: 1, 5: 1, 9: 1, 10: 2}), (0.1, {2: 1, 5: 4, 9: 8, 10: 9})])
def test_fold_in_share_of_short_and_long_histories(spark: SparkSession, share: float, expected: dict[int, int]) -> None:
    """1 - share of the pairs are held out, rounded down: 1 of 5 pairs at .8, though 5 x (1 - .8) < 1 in floats."""
    lengths = [2, 5, 9, 10] * 4 + [10]
    rows = [(u, i, 1, None, None) for u, n in enumerate(lengths) for i in range(n)]
    changed = {"held_out_users": 8, "fold_in_share": share, "min_held_out_user_items": 2}
    parts = parts_of(build_split(frame(spark, rows), settings("strong_random", **changed), seed=2))
    train = users_of(parts["train"])
    assert len(train) == 1 and parts["train"][-1][1] == 9
    held_out = Counter(row[0] for part in ("held_out_validation", "held_out_test") for row in parts[part])
    assert held_out == {u: expected[n] for u, n in enumerate(lengths) if u not in train}


def test_short_histories_are_not_held_out(spark: SparkSession) -> None:
    rows = [(u, i, 1, None, None) for u in range(20) for i in range(5 if u % 4 == 0 else 4)]
    parts = parts_of(build_split(frame(spark, rows), settings("strong_random", held_out_users=2), seed=1))
    assert all(user % 4 == 0 for user in users_of(parts["fold_in"]))


def test_ratings_below_the_minimum_leave(spark: SparkSession, rows: list[Row]) -> None:
    unrated = (0, 99, 3, None, time(1))
    split = build_split(frame(spark, [*rows, unrated]), settings("per_user_random", min_rating=3), seed=1)
    assert sorted(row for part in parts_of(split).values() for row in part) == sorted(r for r in rows if r[3] >= 3)
    split = build_split(frame(spark, [*rows, unrated]), settings("per_user_random"), seed=1)
    assert unrated in [row for part in parts_of(split).values() for row in part]
    split = build_split(frame(spark, [*rows, unrated]), settings("rating_random"), seed=1)
    assert unrated not in [row for part in parts_of(split).values() for row in part]


def core_by_hand(pairs: set[tuple[int, int]], min_user_items: int, min_item_users: int) -> set[tuple[int, int]]:
    """Drop one pair at a time until both minimums hold."""
    kept = set(pairs)
    while True:
        users, items = Counter(u for u, _ in kept), Counter(i for _, i in kept)
        out = next((p for p in kept if users[p[0]] < min_user_items or items[p[1]] < min_item_users), None)
        if out is None:
            return kept
        kept.remove(out)


@pytest.mark.parametrize(("min_user_items", "min_item_users"), [(4, 5), (6, 6), (1, 7), (7, 1), (1, 1), (30, 30)])
def test_support_holds_on_both_sides_and_keeps_all_it_can(
    spark: SparkSession, min_user_items: int, min_item_users: int
) -> None:
    rng = np.random.default_rng(5)
    popularity = rng.random(30) * 0.5
    pairs = {(int(u), int(i)) for u, i in zip(*np.nonzero(rng.random((40, 30)) < popularity), strict=True)}
    kept = k_core(spark.createDataFrame(sorted(pairs), "user_idx INT, item_idx INT"), min_user_items, min_item_users)
    assert sorted(tuple(row) for row in kept.collect()) == sorted(core_by_hand(pairs, min_user_items, min_item_users))


def test_support_that_does_not_settle_is_refused(spark: SparkSession, monkeypatch: pytest.MonkeyPatch) -> None:
    """A chain of users and items loses its ends, one link each round."""
    chain = [(n, n + step) for n in range(8) for step in (0, 1)]
    pairs = spark.createDataFrame(chain, "user_idx INT, item_idx INT")
    assert k_core(pairs, 2, 2).isEmpty()
    monkeypatch.setattr(support, "MAX_ROUNDS", 3)
    with pytest.raises(ConfigError, match="min_item_users"):
        k_core(pairs, 2, 2)


@pytest.mark.parametrize("protocol", ["rating_random", "rating_folds", "per_user_random"])
@pytest.mark.parametrize("rows", [[(3, 5, 1, 4.0, None)], [(0, i, 1, 4.0, None) for i in range(30)]])
def test_one_user_or_one_pair(spark: SparkSession, protocol: str, rows: list[Row]) -> None:
    parts = parts_of(build_split(frame(spark, rows), settings(protocol, validation_share=0.0), seed=1))
    assert sorted(row for part in parts.values() for row in part) == sorted(rows)
    if protocol == "per_user_random":
        assert len(parts.get("test", [])) == len(rows) // 10


def test_one_item(spark: SparkSession) -> None:
    rows = [(u, 0, 1, 4.0, None) for u in range(30)]
    assert parts_of(build_split(frame(spark, rows), settings("per_user_random"), seed=1)) == {"train": rows}
    with pytest.raises(ConfigError, match="min_held_out_user_items"):
        build_split(frame(spark, rows), settings("strong_random"), seed=1)


@pytest.mark.parametrize(
    ("changed", "remedy"),
    [
        ({"protocol": None}, "split.protocol"),
        ({"held_out_users": 20}, "held_out_users"),
        ({"held_out_users": 21}, "held_out_users"),
        ({"min_rating": 6.0}, "min_rating"),
        ({"min_user_items": 31}, "min_user_items"),
    ],
)
def test_settings_that_leave_nothing(
    spark: SparkSession, rows: list[Row], changed: dict[str, Any], remedy: str
) -> None:
    with pytest.raises(ConfigError, match=remedy):
        build_split(frame(spark, rows), settings(**({"protocol": "strong_random"} | changed)), seed=1)


@pytest.mark.parametrize(
    ("protocol", "lacking"), [("strong_time", "times"), ("last_n", "times"), ("rating_folds", "ratings")]
)
def test_a_protocol_refuses_data_without_its_times_or_ratings(spark: SparkSession, protocol: str, lacking: str) -> None:
    rows = [(u, i, 1, None, None) for u in range(20) for i in range(9)]
    with pytest.raises(ConfigError, match=lacking):
        build_split(frame(spark, rows), settings(protocol), seed=1)


def test_input_and_held_out_pairs_of_each_user(spark: SparkSession, rows: list[Row]) -> None:
    split = build_split(frame(spark, rows), settings("per_user_random"), seed=1).persist()
    parts = parts_of(split)
    assert rows_of(training_part(split)) == parts["train"]
    assert rows_of(training_part(split, with_validation=True)) == sorted(parts["train"] + parts["validation"])
    fold_in, held_out = map(rows_of, held_out_pairs(split, "validation"))
    assert (fold_in, held_out) == ([row for row in parts["train"] if row[0] in users_of(held_out)], parts["validation"])
    fold_in, held_out = map(rows_of, held_out_pairs(split, "test"))
    assert (fold_in, held_out) == (sorted(parts["train"] + parts["validation"]), parts["test"])


def test_input_and_held_out_pairs_of_held_out_users(spark: SparkSession, rows: list[Row]) -> None:
    split = build_split(frame(spark, rows), settings("strong_random"), seed=1).persist()
    parts = parts_of(split)
    assert rows_of(training_part(split, with_validation=True)) == parts["train"]
    for part in ("validation", "test"):
        fold_in, held_out = map(rows_of, held_out_pairs(split, part))
        assert held_out == parts[f"held_out_{part}"]
        assert fold_in == [row for row in parts["fold_in"] if row[0] in users_of(held_out)]


def rows_of(pairs: DataFrame) -> list[Row]:
    found = parts_of(pairs.selectExpr("'all' AS part", "*"))
    return found.get("all", [])


def test_the_name_of_a_split_depends_on_settings_seed_and_version() -> None:
    name = split_id(settings("strong_time"), 1, 7)
    assert name.startswith("strong_time-") and len(name.split("-")[1]) == 12
    others = [
        split_id(settings("strong_random"), 1, 7),
        split_id(settings("strong_time", min_rating=4), 1, 7),
        split_id(settings("strong_time"), 2, 7),
        split_id(settings("strong_time"), 1, 8),
    ]
    assert len({name, *others}) == 5
    assert split_id(settings("strong_time"), 1, 7) == name


def test_folds_of_one_seed_part_the_ratings(spark: SparkSession, rows: list[Row]) -> None:
    tests: list[Row] = []
    for fold in range(1, 5):
        parts = parts_of(build_split(frame(spark, rows), settings("rating_folds", folds=4, fold=fold), seed=1))
        share = len(parts["validation"]) / (len(parts["validation"]) + len(parts["train"]))
        assert 0.05 < share < 0.15 and not users_and_items(parts["test"]) & users_and_items(parts["train"])
        tests += parts["test"]
    assert sorted(tests) == sorted(rows)


def test_a_predefined_fold_is_the_test_part(spark: SparkSession, rows: list[Row]) -> None:
    fold = spark.createDataFrame([row[:2] for row in rows[::7]], "user_idx INT, item_idx INT")
    split = build_split(frame(spark, rows), settings("rating_folds"), seed=1, predefined_fold=fold.unionByName(fold))
    parts = parts_of(split)
    assert parts["test"] == sorted(rows[::7])
    assert sorted(parts["train"] + parts["validation"] + parts["test"]) == sorted(rows)


@pytest.mark.parametrize("n", [1, 3])
def test_the_last_pairs_of_each_user_are_held_out(spark: SparkSession, rows: list[Row], n: int) -> None:
    short = [(90, 1, 1, 5.0, time(1)), (91, 1, 1, 5.0, time(1)), (91, 2, 1, 5.0, time(2))]
    untimed = (0, 99, 1, 5.0, None)
    parts = parts_of(build_split(frame(spark, [*rows, *short, untimed]), settings("last_n", last_n=n), seed=1))
    assert parts["train"].count(short[0]) == 1 and parts["train"].count(short[1]) == 1 and short[2] in parts["test"]
    for user in range(40):
        of_user = {part: [row[4] for row in found if row[0] == user] for part, found in parts.items()}
        length = sum(map(len, of_user.values()))
        assert (len(of_user["test"]), len(of_user["validation"])) == (n, min(n, length - n - 1))
        assert max(of_user["train"]) <= min(of_user["validation"]) <= max(of_user["validation"]) <= min(of_user["test"])


def users_and_items(rows: list[Row]) -> set[tuple[int, int]]:
    return {row[:2] for row in rows}


def test_shares_must_leave_something() -> None:
    with pytest.raises(ValidationError, match="less than 1"):
        SplitSettings(test_share=0.6, validation_share=0.4)
    with pytest.raises(ValidationError, match="fold 6 is not one of 5"):
        SplitSettings(fold=6)


@pytest.mark.slow
def test_the_job_writes_a_split_once(workspace: Workspace, rows: list[Row]) -> None:
    workspace.tables().overwrite("interactions", frame(workspace.spark, rows))
    arguments = ["--split.protocol", "strong_random", "--split.held_out_users", 3]
    first = workspace.done("split_interactions", *arguments)
    written = workspace.table("splits").persist()
    parts = parts_of(written.drop("split_id", "protocol"))
    assert first.rows == {part: len(found) for part, found in parts.items()}
    assert {tuple(row) for row in written.select("protocol").distinct().collect()} == {("strong_random",)}
    before = workspace.versions()
    assert workspace.done("split_interactions", *arguments).rows == first.rows
    assert workspace.versions() == before
    # Another seed is another split, beside the first.
    second = workspace.done("split_interactions", *arguments, "--run.seed", 7)
    assert workspace.table("splits").count() == sum(first.rows.values()) + sum(second.rows.values())
    assert workspace.table("splits").select("split_id").distinct().count() == 2


@pytest.mark.parametrize(
    ("lines", "code", "message"),
    [("u1\ti1\t5\t0\n\n", 0, ""), ("u1\ti9\t5\t0\n", 2, "1 of the 1 pairs"), (None, 4, "u2.test")],
)
def test_folds_of_a_data_set_are_read_from_its_files(
    workspace: Workspace, tmp_path: Path, lines: str | None, code: int, message: str
) -> None:
    folder, tables = tmp_path / "folds [1]", workspace.tables()
    folder.mkdir()
    tables.overwrite("interactions", frame(workspace.spark, [(0, 0, 1, 5.0, None), (0, 1, 1, 4.0, None)]))
    for side in ("user", "item"):
        rows = [(f"{side[0]}{n + 1}", n) for n in range(2)]
        tables.overwrite(f"{side}_index", workspace.spark.createDataFrame(rows, f"{side}_id STRING, {side}_idx INT"))
    if lines is not None:
        (folder / "u2.test").write_text(lines)
    outcome = workspace.run(
        "split_interactions", "--split.protocol", "rating_folds", "--split.fold", 2, "--split.folds_path", folder
    )
    assert (outcome.code, message in outcome.stderr) == (code, True)
    if code == 0:
        assert [
            tuple(row) for row in workspace.table("splits").where("part = 'test'").select("item_idx").collect()
        ] == [(0,)]


def test_a_protocol_that_does_not_exist_is_refused_with_those_that_do(workspace: Workspace) -> None:
    outcome = workspace.run("split_interactions", "--split.protocol", "strong_randon")
    assert outcome.code == 2
    assert "split.protocol" in outcome.stderr and "'strong_random'" in outcome.stderr


def test_the_job_refuses_to_split_without_a_protocol(workspace: Workspace) -> None:
    (workspace.root / "plays" / "_delta_log").mkdir(parents=True)
    outcome = workspace.run("split_interactions")
    assert outcome.code == 2
    assert "split.protocol" in outcome.stderr and "strong_time" in outcome.stderr
