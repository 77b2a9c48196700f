"""Settings of the pipeline."""

from pydantic import Field

from recsys_spark.config.source import Section

__all__ = ["PipelineSettings"]


class PipelineSettings(Section):
    """Section `pipeline`."""

    kinds: tuple[str, ...] = Field(
        ("popularity", "als"), min_length=1, description="Kinds of models that run_pipeline trains, in order."
    )
    list_kinds: tuple[str, ...] = Field(
        (),
        description="Kinds of pipeline.kinds whose similar items and recommendations are built; empty: all of them.",
    )
    gender_kind: str | None = Field(
        None,
        description="Kind of pipeline.kinds whose user vectors predict genders; unset: the published kind, or the first"
        " one with user vectors.",
    )
    gender: bool = Field(False, description="Also train and predict genders at the end, if enough profiles state one.")
    report: bool = Field(True, description="Also write the report (build_report) at the end.")
    start: str | None = Field(None, alias="from", description="First step to run; earlier steps are skipped.")
    final_fit: bool = Field(
        False,
        description="With a split: after the evaluation, train the models on everything before outputs are built.",
    )
