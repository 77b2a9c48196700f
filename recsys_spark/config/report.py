"""Settings of the report."""

from pydantic import Field

from recsys_spark.config.source import Section

__all__ = ["ReportSettings"]


class ReportSettings(Section):
    """Section `report`."""

    path: str | None = Field(
        None, description="HTML file that build_report writes; unset: report/report.html below files.root."
    )
