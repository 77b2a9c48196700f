"""Tests of the distributed fit in a Spark session."""

import numpy as np
import pytest
from scipy import sparse

from recsys_spark.core.errors import TrainingError
from recsys_spark.models.als import Als, fit_als
from recsys_spark.models.block_als import fit
from recsys_spark.models.block_als.csr_blocks import build_side, read_block
from recsys_spark.models.block_als.objective import Objective
from recsys_spark.models.kind import StartVectors
from recsys_spark.models.settings.als import AlsSettings
from tests.models.block_als.test_passes import objective_of

SCHEMA = "user_idx INT, item_idx INT, play_count BIGINT, rating DOUBLE"


def rows_of(n_users=60, n_items=40, seed=3):
    """Return plays of all users but 7; user 5 played all items, and all users item 4."""
    rng = np.random.default_rng(seed)
    played = rng.random((n_users, n_items)) < 0.2
    played[5, :] = played[:, 4] = True
    played[7, :] = False
    counts = np.exp(rng.uniform(0, 3, (n_users, n_items))).astype(int)
    return [(int(u), int(i), int(counts[u, i]), float(1 + counts[u, i] % 5)) for u, i in np.argwhere(played)]


def vectors(frame, name):
    rows = frame.orderBy(name).collect()
    return [row[name] for row in rows], np.array([row["vector"] for row in rows], dtype=np.float32)


def settings_of(**changes):
    return AlsSettings.model_validate({"solver": "block_cg", "rank": 6, "max_iter": 10, "blocks": 3, **changes})


@pytest.mark.parametrize("implicit", [True, False])
def test_reaches_the_objective_of_mllib(spark, tmp_path, implicit):
    rows = rows_of()
    frame, settings = spark.createDataFrame(rows, SCHEMA), settings_of(implicit=implicit, max_iter=6, rank=4)
    fitted = Als(settings).fit(frame, tmp_path, seed=1, parallelism=2)
    users, items, weights = np.zeros((60, 4)), np.zeros((40, 4)), np.zeros((60, 40))
    for user, item, plays, rating in rows:
        weights[user, item] = np.log1p(plays) if implicit else rating
    found = []
    for factors in (fitted, fit_als(frame, settings, seed=1, parallelism=2)):
        numbers, rows_found = vectors(factors.user_vectors, "user_idx")
        assert numbers == [u for u in range(60) if u != 7]
        users[numbers] = rows_found
        numbers, items[:] = vectors(factors.item_vectors, "item_idx")
        assert numbers == list(range(40))
        objective = Objective.of(settings.model_dump())
        found.append(objective_of(sparse.csr_matrix(weights), users, items, objective))
    # Each starts from its own random vectors and ends in its own minimum.
    assert found[0] <= 1.03 * found[1]
    np.testing.assert_allclose(fitted.metrics["objective"], found[0], rtol=1e-4)


def test_a_fit_goes_on_after_a_failed_pass_with_the_same_bytes(spark, tmp_path, monkeypatch):
    frame = spark.createDataFrame(rows_of(), SCHEMA)
    whole = Als(settings_of(max_iter=3)).fit(frame, tmp_path / "whole", 1, 2)
    runner, calls = fit.task_runner(spark), []

    def dying(task, n_blocks):
        calls.append(task)
        if len(calls) == 4:
            raise RuntimeError("killed")
        return runner(task, n_blocks)

    with monkeypatch.context() as patched:
        patched.setattr(fit, "task_runner", lambda _: dying)
        with pytest.raises(RuntimeError, match="killed"):
            Als(settings_of(max_iter=3)).fit(frame, tmp_path / "cut", 1, 2)
    # Without its data, so that only the files of the first attempt can give the result.
    resumed = Als(settings_of(max_iter=3)).fit(frame.where("false"), tmp_path / "cut", 1, 2)
    for side in ("user", "item"):
        expected, found = (vectors(getattr(f, f"{side}_vectors"), f"{side}_idx") for f in (whole, resumed))
        assert expected[0] == found[0]
        np.testing.assert_array_equal(expected[1], found[1])


def test_a_warm_start_needs_fewer_passes_and_folds_in_new_rows(spark, tmp_path):
    rows = rows_of()
    before = [row for row in rows if row[0] < 55 and row[1] < 38]
    settings = settings_of(max_iter=40, tolerance=1e-4)
    first = Als(settings).fit(spark.createDataFrame(before, SCHEMA), tmp_path / "before", 1, 2)
    frame = spark.createDataFrame(rows, SCHEMA)
    cold = Als(settings).fit(frame, tmp_path / "cold", 1, 2)
    kind = Als(settings)
    assert first.user_vectors is not None
    assert first.item_vectors is not None
    kind.start = StartVectors("als-before", first.user_vectors, first.item_vectors)
    warm = kind.fit(frame, tmp_path / "warm", 1, 2)
    assert warm.metrics["passes"] < cold.metrics["passes"]
    assert warm.metrics["objective"] < 1.01 * cold.metrics["objective"]
    numbers, users = vectors(warm.user_vectors, "user_idx")
    assert numbers == [u for u in range(60) if u != 7]
    assert users.any(axis=1).all()
    assert vectors(warm.item_vectors, "item_idx")[1].any(axis=1).all()


def test_blocks_hold_the_observations_in_order(spark, tmp_path):
    rows = [(u, i, p, r) for u, i, p, r in rows_of() if u < 30]
    frame = spark.createDataFrame(rows[::-1], SCHEMA).selectExpr("user_idx", "item_idx", "float(play_count) confidence")
    side = build_side(frame, "items", tmp_path, 40, 4)
    found: list[tuple[int, int, float]] = []
    for block in range(side.n_blocks):
        csr, first = read_block(side, block), side.rows(block)[0]
        numbers = np.repeat(np.arange(len(csr)), csr.lengths()) + first
        found += zip(csr.indices.tolist(), numbers.tolist(), csr.values.tolist(), strict=True)
    assert sorted(found) == [(u, i, float(p)) for u, i, p, _ in rows]
    assert (side.n_rows, side.n_entries) == (40, len(rows))


def test_no_observations_are_refused(spark, tmp_path):
    frame = spark.createDataFrame([(0, 0, 1, None)], SCHEMA)
    with pytest.raises(TrainingError, match="no interaction has a rating"):
        Als(settings_of(implicit=False)).fit(frame, tmp_path, 1, 2)
