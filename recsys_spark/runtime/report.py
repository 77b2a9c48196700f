"""Report of a run and of its failure."""

import re
from dataclasses import dataclass, field
from typing import Literal

from recsys_spark.config.model import BaseConfig
from recsys_spark.core.errors import RecsysError
from recsys_spark.core.paths import without_credentials
from recsys_spark.runtime.termination import Terminated, termination_in

__all__ = ["Report", "RunStatus", "describe_failure", "recorded_error"]

RunStatus = Literal["done", "failed"]

MAX_ERROR_CHARACTERS = 2_000


@dataclass
class Report:
    """Report of a run, for the JSON line and the row in job_runs.

    `model_version` is the version that the run trained, or found already trained. `outputs` has the version of each
    table that the run wrote, and the path of other files.
    """

    job: str
    run_id: str
    status: RunStatus = "done"
    exit_code: int = 0
    seconds: float = 0.0
    rows: dict[str, int] = field(default_factory=dict)
    outputs: dict[str, int | str] = field(default_factory=dict)
    model_version: str | None = None
    error: str | None = None


def describe_failure(report: Report, error: BaseException) -> None:
    error = termination_in(error) or error
    report.status = "failed"
    report.exit_code = error.exit_code if isinstance(error, RecsysError | Terminated) else 1
    report.error = _storable(_message(error))


def recorded_error(error: BaseException, config: BaseConfig) -> str:
    """Return the text of an error for job_runs, without what a private query names."""
    text = error.recorded if isinstance(error, RecsysError) else _message(termination_in(error) or error)
    items = sorted(filter(str.strip, config.query.items), key=len, reverse=True)
    if items:
        text = re.sub("|".join(map(re.escape, items)), "[query.items]", text)
    if config.query.user is not None:
        # An id may be as short as a digit: only whole words are cut out.
        text = re.sub(rf"(?<!\w){re.escape(config.query.user)}(?!\w)", "[query.user]", text)
    return _storable(text)


def _message(error: BaseException) -> str:
    return str(error) if isinstance(error, RecsysError | Terminated) else f"{type(error).__name__}: {error}"


def _storable(text: str) -> str:
    # A path may be invalid Unicode, which a table cannot store.
    return without_credentials(text).encode(errors="backslashreplace").decode()[:MAX_ERROR_CHARACTERS]
