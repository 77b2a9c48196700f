"""Coverage and accuracy above a limit on a case worked by hand."""

import numpy as np
import pytest

from recsys_spark.gender.confidence_limits import LIMIT_METRICS, LIMITS, limit_table

LABELS = np.array([0, 0, 1, 1])
CHANCES = np.array([[0.97, 0.03], [0.35, 0.65], [0.15, 0.85], [0.5, 0.5]])


@pytest.mark.parametrize(
    ("limit", "covered", "right"), [(0.5, 1.0, 0.5), (0.6, 0.75, 2 / 3), (0.8, 0.5, 1.0), (0.95, 0.25, 1.0)]
)
def test_coverage_and_accuracy_above_a_limit(limit: float, covered: float, right: float):
    equal = np.ones(4)
    assert LIMIT_METRICS[f"coverage@{limit:g}"](LABELS, CHANCES, equal) == covered
    assert LIMIT_METRICS[f"accuracy@{limit:g}"](LABELS, CHANCES, equal) == pytest.approx(right)


def test_users_count_as_often_as_they_were_drawn():
    drawn = np.array([0.0, 3.0, 1.0, 0.0])
    assert LIMIT_METRICS["coverage@0.8"](LABELS, CHANCES, drawn) == 0.25
    assert LIMIT_METRICS["accuracy@0.6"](LABELS, CHANCES, drawn) == 0.25


def test_accuracy_is_nan_without_users_above_the_limit():
    modest = np.full((4, 2), 0.5)
    assert LIMIT_METRICS["coverage@0.9"](LABELS, modest, np.ones(4)) == 0
    assert np.isnan(LIMIT_METRICS["accuracy@0.9"](LABELS, modest, np.ones(4)))


def test_table_has_one_row_a_limit():
    table = limit_table(["tf_idf"], lambda name, metric: 0.5)
    assert table.row_count == len(LIMITS)
