"""Errors that a user can act on, each with the exit code that schedulers see.

Anything else that escapes a job is a defect of ours and exits with 1.
"""

__all__ = [
    "ConfigError",
    "DataQualityError",
    "LostToWriterError",
    "MissingInputError",
    "QualityGateError",
    "RecsysError",
    "TrainingError",
]


class RecsysError(Exception):
    """Base of all errors whose message names the remedy."""

    exit_code = 1


class ConfigError(RecsysError):
    """Wrong usage, configuration, root or table schema; `problems` lists all that were found."""

    exit_code = 2

    def __init__(self, *problems: str) -> None:
        super().__init__("\n".join(problems))
        self.problems = problems


class DataQualityError(RecsysError):
    """Too large a share of the input was quarantined."""

    exit_code = 3


class MissingInputError(RecsysError):
    """A required table, file or model does not exist; the message names the job that makes it."""

    exit_code = 4


class TrainingError(RecsysError):
    """A model could not be trained."""

    exit_code = 5


class LostToWriterError(RecsysError):
    """Another writer held the lock, or won the commit after all retries."""

    exit_code = 6


class QualityGateError(RecsysError):
    """The candidate is not good enough to be published."""

    exit_code = 7
