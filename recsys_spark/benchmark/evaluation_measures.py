"""Measures of model evaluation: full rankings, and ranking metrics."""

from collections.abc import Iterator
from functools import partial

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray
from pyspark.mllib.evaluation import RankingMetrics
from pyspark.sql import DataFrame

from recsys_spark.benchmark.comparison import Bench, Comparison, take_turns, timed
from recsys_spark.config.evaluation import EvaluationSettings
from recsys_spark.core.csr import Csr
from recsys_spark.evaluation.evaluation_setup import EvaluationSetup, ScoringModel
from recsys_spark.evaluation.user_evaluation import BLOCK_USERS, evaluate_batches
from recsys_spark.evaluation.user_metrics import list_hits
from recsys_spark.metrics.ranking import average_precision, ndcg, precision, recall
from recsys_spark.preparation.held_out_pairs import INPUT, TARGET
from recsys_spark.ranking.dot_scorer import DotScorer
from recsys_spark.ranking.matrix_writer import write_item_arrays
from recsys_spark.ranking.top_n import TopN

__all__ = ["evaluation_data", "full_ranking", "mllib_means", "package_means", "ranked_frame", "ranking_metrics"]

FULL_USERS, FULL_ITEMS, RANK = 100_000, 20_000, 64
GIVEN, TO_FIND, LISTED = 40, 10, 100
BATCH_USERS = 10_000
METRICS = (ndcg, precision, recall, average_precision)


def full_ranking(bench: Bench) -> Comparison:
    """Compare evaluation on full rankings with the matrix product of the factors alone.

    The evaluation includes all metrics, slices and bootstrap draws. Both are timed inside one Spark task, on one core,
    with the users in memory. The product is computed in blocks of as many users as the evaluation's.
    """
    n_users = max(BLOCK_USERS, round(FULL_USERS * bench.scale))
    batches, setup, n_items = evaluation_data(bench, n_users)
    file = bench.folder / "users.parquet"
    pq.write_table(pa.Table.from_batches(batches), file)
    frame = bench.spark.read.parquet(str(file)).coalesce(1)
    clocks = frame.mapInArrow(partial(_in_task, setup, bench.repeats), "ours DOUBLE, reference DOUBLE").collect()
    ours, reference = clocks[0]["ours"], clocks[0]["reference"]
    size = f"{n_users} users x {n_items} items, rank {RANK}, {len(setup.columns)} values, {setup.draws} draws"
    return Comparison("judging", size, ours, "numpy.matmul", reference, ">= 0.4 of its throughput", {"threads": 1})


def _in_task(setup: EvaluationSetup, repeats: int, batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
    in_memory = list(batches)
    users = np.concatenate([_vectors(batch) for batch in in_memory])
    matrix = setup.models[0].matrix
    items = matrix.whole()
    out = np.empty((BLOCK_USERS, len(items)), np.float32)

    def product() -> None:
        for start in range(0, len(users), BLOCK_USERS):
            block = users[start : start + BLOCK_USERS]
            np.matmul(block, items.T, out=out[: len(block)])

    def judge() -> None:
        for _ in evaluate_batches(setup, iter(in_memory)):
            pass

    ours, reference = take_turns(repeats, timed(judge), timed(product))
    yield pa.RecordBatch.from_pydict({"ours": pa.array([ours]), "reference": pa.array([reference])})


def ranking_metrics(bench: Bench) -> Comparison:
    """Compare four metrics at 10 with MLlib's RankingMetrics, on lists of 100 items."""
    n_users = max(1000, round(FULL_USERS * bench.scale))
    frame = ranked_frame(bench, n_users).persist()
    frame.count()
    ours, reference = take_turns(bench.repeats, timed(lambda: package_means(frame)), timed(lambda: mllib_means(frame)))
    frame.unpersist()
    size = f"{n_users} lists of {LISTED} items"
    more = {"threads": bench.threads}
    return Comparison("ranking_metrics", size, ours, "MLlib RankingMetrics", reference, ">= 10", more)


def evaluation_data(bench: Bench, n_users: int) -> tuple[list[pa.RecordBatch], EvaluationSetup, int]:
    """Return batches of evaluation inputs, a setup with one model, and the number of items."""
    generator = np.random.default_rng(bench.seed)
    items = generator.normal(size=(FULL_ITEMS, RANK)).astype(np.float32)
    popularity = generator.integers(1, 1000, (FULL_ITEMS, 1)).astype(np.float32)
    limit = 1 << 30
    matrix = write_item_arrays(items, bench.folder / "items", FULL_ITEMS, RANK, limit)
    popular = write_item_arrays(popularity, bench.folder / "popularity", FULL_ITEMS, 1, limit)
    settings = EvaluationSettings()  # type: ignore[call-arg]
    model = ScoringModel("factors", DotScorer(matrix), "column", matrix)
    setup = EvaluationSetup(
        (model,), settings.metrics, None, popular, n_users, settings.list_length, settings.draws, bench.seed
    )
    starts = range(0, n_users, BATCH_USERS)
    return [_batch(generator, start, min(BATCH_USERS, n_users - start)) for start in starts], setup, FULL_ITEMS


def _batch(generator: np.random.Generator, first: int, n_users: int) -> pa.RecordBatch:
    n_pairs = GIVEN + TO_FIND
    # The stride has no common factor with the number of items, so that a user's items differ.
    start, stride = (
        generator.integers(0, FULL_ITEMS, (n_users, 1)),
        2 * generator.integers(1, 1000, (n_users, 1)) * 5 + 1,
    )
    item_idx = (start + stride * np.arange(n_pairs)) % FULL_ITEMS
    item_idx = np.concatenate([np.sort(item_idx[:, :GIVEN]), np.sort(item_idx[:, GIVEN:])], axis=1).astype(np.int32)
    role = np.broadcast_to(np.repeat([INPUT, TARGET], [GIVEN, TO_FIND]).astype(np.int32), item_idx.shape)
    offsets = np.arange(0, item_idx.size + 1, n_pairs, dtype=np.int32)
    confidence = np.where(role == INPUT, np.float32(1), np.float32(np.nan)).ravel()
    vectors = generator.normal(size=(n_users, RANK)).astype(np.float32)

    def lists(values: NDArray[np.generic]) -> pa.Array:
        return pa.ListArray.from_arrays(offsets, pa.array(values.ravel()))

    return pa.RecordBatch.from_pydict(
        {
            "user_idx": pa.array(np.arange(first, first + n_users, dtype=np.int32)),
            "role": lists(role),
            "item_idx": lists(item_idx),
            "rating": lists(np.full(item_idx.size, np.nan)),
            "time": lists(np.zeros(item_idx.size, np.int64)),
            "tie": lists(np.zeros(item_idx.size, np.int64)),
            "confidence_0": lists(confidence),
            "vector_0": pa.ListArray.from_arrays(
                np.arange(0, vectors.size + 1, RANK, dtype=np.int32), pa.array(vectors.ravel())
            ),
        }
    )


def _vectors(batch: pa.RecordBatch) -> NDArray[np.float32]:
    vectors: NDArray[np.float32] = batch["vector_0"].flatten().to_numpy().reshape(batch.num_rows, RANK)
    return vectors


def ranked_frame(bench: Bench, n_users: int) -> DataFrame:
    """Return one row a user: listed ARRAY<DOUBLE>, truth ARRAY<DOUBLE>, as RankingMetrics takes them."""
    generator = np.random.default_rng(bench.seed)
    listed = (generator.integers(0, 1000, (n_users, 1)) + 7 * np.arange(LISTED)) % 1000
    truth = np.sort((generator.integers(0, 1000, (n_users, 1)) + 13 * np.arange(TO_FIND)) % 1000)
    columns = {"listed": listed.astype(float).tolist(), "truth": truth.astype(float).tolist()}
    return bench.spark.createDataFrame(pa.table(columns))


def package_means(frame: DataFrame, k: int = 10) -> list[float]:
    """Return the means of METRICS at k, from sums that each task returns."""
    parts = frame.mapInArrow(partial(_sums, k), "sums ARRAY<DOUBLE>, users BIGINT").collect()
    users = sum(part["users"] for part in parts)
    return [sum(sums) / users for sums in zip(*(part["sums"] for part in parts), strict=True)]


def _sums(k: int, batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
    for batch in batches:
        listed, truth = (batch[name].flatten().to_numpy().astype(np.int32) for name in ("listed", "truth"))
        n = batch.num_rows
        lengths = np.full(n, truth.size // n)
        found = Csr.from_lengths(lengths, truth, np.ones(truth.size, np.float32))
        ranked = listed.reshape(n, -1)[:, :k]
        hits = list_hits(TopN(ranked, np.zeros(ranked.shape, np.float32), np.full(n, k)), found)
        sums = [float(metric(hits, lengths, k).sum()) for metric in METRICS]
        yield pa.RecordBatch.from_pydict({"sums": pa.array([sums]), "users": pa.array([n])})


def mllib_means(frame: DataFrame, k: int = 10) -> list[float]:
    """Return MLlib's means of METRICS at k."""
    metrics: RankingMetrics[float] = RankingMetrics(frame.rdd.map(tuple))
    return [metrics.ndcgAt(k), metrics.precisionAt(k), metrics.recallAt(k), metrics.meanAveragePrecisionAt(k)]
