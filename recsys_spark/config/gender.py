"""Settings of gender prediction."""

from typing import Literal

from pydantic import Field

from recsys_spark.config.source import Section

__all__ = ["FeatureSet", "GenderSettings", "SuppressSettings"]

FeatureSet = Literal["vectors", "tf_idf", "vectors+tf_idf"]
FEATURE_SETS: tuple[FeatureSet, ...] = ("tf_idf", "vectors", "vectors+tf_idf")


class GenderSettings(Section):
    features: FeatureSet = Field(
        "vectors+tf_idf",
        description="What a classifier sees of a user: the vector of model.kind or model.version, the TF-IDF of the"
        " items themselves, or both.",
    )
    min_items: int = Field(5, ge=1, description="Users with fewer items that the model knows get no prediction.")
    confidence: float = Field(
        0.6, ge=0, le=1, description="Below this probability of the likelier gender none is stated."
    )
    all_users: bool = Field(False, description="Predict for users who state a gender as well.")
    class_weight: Literal["none", "balanced"] = Field(
        "none", description="Weight of users in training: equal, or each gender as much as the others."
    )
    min_class_users: int = Field(10, ge=2, description="Genders that fewer users state are left out of training.")
    max_classes: int = Field(20, ge=2, le=1000, description="More different genders than these are refused.")
    reg_params: tuple[float, ...] = Field(
        (0.01, 0.003, 0.001, 0.0004, 0.0002, 0.0001),
        min_length=1,
        description="L2 weights to choose from by cross-validation within the training users.",
    )
    inner_folds: int = Field(3, ge=2, le=20, description="Folds of that cross-validation.")
    max_iter: int = Field(50, ge=1, le=10_000, description="Iterations of the logistic regression at most.")
    folds: int = Field(5, ge=2, le=20, description="Folds of evaluate_gender, stratified by gender.")
    repeats: int = Field(1, ge=1, le=100, description="Repetitions of evaluate_gender with run.seed, run.seed + 1, ...")
    evaluated: tuple[FeatureSet, ...] = Field(
        FEATURE_SETS, min_length=1, description="Features that evaluate_gender compares."
    )


class SuppressSettings(Section):
    users_file: str | None = Field(
        None, description="Text file with a user_id a line: no gender is learnt from them, none predicted."
    )
    key: str | None = Field(
        None,
        min_length=16,
        exclude=True,
        repr=False,
        description="Secret that user ids in suppressions are hashed with; better given as RECSYS_SUPPRESS__KEY.",
    )
