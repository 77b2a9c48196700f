"""The bound of users that an evaluation of classifiers takes."""

import pytest

from recsys_spark.config.gender import GenderSettings
from recsys_spark.core.errors import ConfigError
from recsys_spark.gender.labelled_users import check_evaluated_users


def test_more_users_than_the_bound_are_refused_by_the_name_of_the_setting() -> None:
    settings = GenderSettings.model_validate({"max_evaluated_users": 59})
    check_evaluated_users(59, settings)
    with pytest.raises(ConfigError, match=r"hold 60 users .* gender\.max_evaluated_users = 59"):
        check_evaluated_users(60, settings)
