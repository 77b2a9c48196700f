"""Printed predictions of lists of titles."""

import pytest

from recsys_spark.gender.title_prediction import TitlePrediction, print_prediction


@pytest.mark.parametrize(("probability", "effect"), [(0.689, "lower m by 0.021"), (0.75, "raise m by 0.040")])
def test_the_base_rate_stands_beside_the_probability(
    probability: float, effect: str, capsys: pytest.CaptureFixture[str]
) -> None:
    chances, shares = {"f": 1 - probability, "m": probability}, {"f": 0.29, "m": 0.71}
    print_prediction(TitlePrediction("m", probability, chances, shares, 5, (), (), (), ()))
    first, second = capsys.readouterr().out.splitlines()
    assert first == f"gender: m (f {1 - probability:.3f}, m {probability:.3f}; from 5 known items)"
    assert second == f"base rate: f 0.290, m 0.710 among the users in training; the titles {effect}"


def test_a_list_without_known_items_has_no_base_rate_to_compare(capsys: pytest.CaptureFixture[str]) -> None:
    print_prediction(TitlePrediction(None, None, {}, {"f": 0.29, "m": 0.71}, 0, (), (), (), ()))
    assert capsys.readouterr().out == "gender: unknown (the model has none of these items)\n"
