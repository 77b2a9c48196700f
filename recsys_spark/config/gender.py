"""Settings of gender prediction."""

from typing import Literal

from pydantic import Field

from recsys_spark.config.source import Section

__all__ = ["FeatureSet", "GenderSettings", "SuppressSettings"]

FeatureSet = Literal["vectors", "tf_idf", "vectors+tf_idf"]
FEATURE_SETS: tuple[FeatureSet, ...] = ("tf_idf", "vectors", "vectors+tf_idf")


class GenderSettings(Section):
    """Section `gender`."""

    features: FeatureSet = Field(
        "vectors+tf_idf",
        description="Features of the classifier: the user vector of model.kind or model.version, the TF-IDF of the"
        " user's items, or both.",
    )
    min_items: int = Field(5, ge=1, description="Users with fewer items in the model get no prediction.")
    confidence: float = Field(
        0.6, ge=0, le=1, description="Minimum probability of the most likely gender; below it no gender is predicted."
    )
    all_users: bool = Field(False, description="Also predict for users with a stated gender.")
    class_weight: Literal["none", "balanced"] = Field(
        "none",
        description="Weights of users in training: equal for all users (none), or equal for all genders (balanced).",
    )
    min_class_users: int = Field(10, ge=2, description="Genders of fewer users are left out of training.")
    max_classes: int = Field(20, ge=2, le=1000, description="Maximum number of different genders; more are an error.")
    reg_params: tuple[float, ...] = Field(
        (0.01, 0.003, 0.001, 0.0004, 0.0002, 0.0001),
        min_length=1,
        description="L2 penalties to choose from by cross-validation on the training users.",
    )
    inner_folds: int = Field(3, ge=2, le=20, description="Folds of the cross-validation over reg_params.")
    max_driver_bytes: int = Field(
        256 << 20,
        ge=0,
        description="Features of up to this size are collected and fitted by the driver, in up to six times the memory;"
        " larger ones are fitted by MLlib on the executors. 0: always MLlib.",
    )
    max_iter: int = Field(50, ge=1, le=10_000, description="Maximum number of iterations of the logistic regression.")
    folds: int = Field(5, ge=2, le=20, description="Folds of evaluate_gender, stratified by gender.")
    repeats: int = Field(1, ge=1, le=100, description="Repetitions of evaluate_gender with run.seed, run.seed + 1, ...")
    max_evaluated_users: int = Field(
        5_000_000,
        ge=1,
        description="Maximum number of users with a gender that evaluate_gender takes: a task holds all of them, about"
        " 200 bytes a user.",
    )
    evaluated: tuple[FeatureSet, ...] = Field(
        FEATURE_SETS, min_length=1, description="Feature sets that evaluate_gender compares."
    )


class SuppressSettings(Section):
    """Section `suppress`."""

    users_file: str | None = Field(
        None, description="Text file with one user_id a line; these users are left out of training and prediction."
    )
    key: str | None = Field(
        None,
        min_length=16,
        exclude=True,
        repr=False,
        description="Secret key of the hashes of user ids in suppressions; set it as RECSYS_SUPPRESS__KEY.",
    )
