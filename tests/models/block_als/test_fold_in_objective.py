"""Fold-in solves the rows of the objective that the blocks were trained with."""

import numpy as np
import pytest

from recsys_spark.models.als_fold_in import AlsFoldIn
from recsys_spark.models.block_als.objective import Objective
from recsys_spark.models.settings.als import AlsSettings
from recsys_spark.ranking.scorer import Histories
from tests.models.block_als.test_kernel import OBJECTIVES, dense_rows, random_csr


@pytest.mark.parametrize("objective", OBJECTIVES.values(), ids=OBJECTIVES.keys())
def test_fold_in_solves_the_objective_of_training(make_matrix, objective):
    matrix, items = random_csr(), np.random.default_rng(2).normal(size=(20, 6)).astype(np.float32)
    histories = Histories(matrix.indptr, matrix.indices, matrix.data)
    vectors = AlsFoldIn(objective)(make_matrix(items), histories)
    np.testing.assert_allclose(vectors, dense_rows(matrix, items.astype(float), objective), rtol=1e-4, atol=1e-5)


def test_items_without_a_vector_do_not_count_for_the_regularisation(make_matrix):
    matrix, items = random_csr(n_columns=18), np.random.default_rng(2).normal(size=(20, 6)).astype(np.float32)
    items[18:] = 0
    objective = OBJECTIVES["revisited"]
    vectors = AlsFoldIn(objective)(make_matrix(items), Histories(matrix.indptr, matrix.indices, matrix.data))
    np.testing.assert_allclose(vectors, dense_rows(matrix, items[:18].astype(float), objective), rtol=1e-4, atol=1e-5)


def test_settings_of_an_earlier_release_have_the_objective_of_mllib():
    settings = {"reg_param": 0.1, "alpha": 2.0, "implicit": True, "rank": 8}
    assert Objective.of(settings) == Objective(0.1, 2.0, implicit=True)


def test_settings_that_mllib_lacks_are_refused_with_the_remedy():
    with pytest.raises(ValueError, match="set solver to block_cg"):
        AlsSettings(reg_exponent=0.5)
    settings = AlsSettings(solver="block_cg", reg_exponent=0.5)
    assert Objective.of(settings.model_dump()).reg_exponent == 0.5
    assert "reg_exponent" in settings.searched
    assert "reg_exponent" not in AlsSettings().searched
