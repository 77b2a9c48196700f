"""Errors that a user can act on, each with the exit code of the job.

Any other error that ends a job is a defect of this package; the exit code is 1.
"""

__all__ = [
    "ConfigError",
    "DataQualityError",
    "MissingInputError",
    "QualityGateError",
    "RecsysError",
    "TrainingError",
    "WriteConflictError",
]


class RecsysError(Exception):
    """Base class of errors with a remedy in the message.

    `recorded` is the text for job_runs, if the message has personal data that the table must not keep.
    """

    exit_code = 1

    def __init__(self, message: str, recorded: str | None = None) -> None:
        super().__init__(message)
        self.recorded = message if recorded is None else recorded


class ConfigError(RecsysError):
    """Invalid usage, configuration, root or table schema; `problems` lists all findings."""

    exit_code = 2

    def __init__(self, *problems: str) -> None:
        super().__init__("\n".join(problems))
        self.problems = problems


class DataQualityError(RecsysError):
    """Share of quarantined input above its limit."""

    exit_code = 3


class MissingInputError(RecsysError):
    """Missing table, file or model; the message names the job that makes it."""

    exit_code = 4


class TrainingError(RecsysError):
    """Failed training of a model."""

    exit_code = 5


class WriteConflictError(RecsysError):
    """Lock held, or commit won, by another writer."""

    exit_code = 6


class QualityGateError(RecsysError):
    """Candidate model rejected by the quality gate."""

    exit_code = 7
