"""Errors raised by Spark, and disk errors among their causes.

PySpark converts most errors of the JVM; errors of failed tasks arrive as Py4J errors.
"""

from collections.abc import Iterator

from py4j.protocol import Py4JError
from pyspark.errors import PySparkException

__all__ = ["SPARK_ERRORS", "storage_failure"]

SPARK_ERRORS = (PySparkException, Py4JError)

# Messages of the C library, which the JVM and Python pass on.
STORAGE_FAILURES = ("No space left on device", "Disk quota exceeded", "Read-only file system", "File too large")


def storage_failure(error: BaseException) -> str | None:
    """Return the disk error of the system that caused `error` on any machine, or None."""
    text = "\n".join(_messages(error))
    return next((message for message in STORAGE_FAILURES if message in text), None)


def _messages(error: BaseException | None) -> Iterator[str]:
    """Yield the messages of an error and its causes."""
    seen: set[int] = set()
    while error is not None and id(error) not in seen:
        seen.add(id(error))
        yield str(error)
        if isinstance(error, PySparkException):
            # The message of a failed commit lacks the file and the reason; the causes in the stack trace have them.
            yield str(getattr(error, "_stackTrace", None))
        error = error.__cause__ or error.__context__
