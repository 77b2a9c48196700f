"""What Spark raises: most errors are converted, those of a failed task reach Python as the JVM threw them."""

from collections.abc import Iterator

from py4j.protocol import Py4JError
from pyspark.errors import PySparkException

__all__ = ["SPARK_ERRORS", "storage_failure"]

SPARK_ERRORS = (PySparkException, Py4JError)

# As the C library words them; the JVM and Python both pass them on.
STORAGE_FAILURES = ("No space left on device", "Disk quota exceeded", "Read-only file system", "File too large")


def storage_failure(error: BaseException) -> str | None:
    """The words in which the system refused to write, if that is what led to `error`, on whichever machine."""
    told = "\n".join(_told_by(error))
    return next((words for words in STORAGE_FAILURES if words in told), None)


def _told_by(error: BaseException | None) -> Iterator[str]:
    seen: set[int] = set()
    while error is not None and id(error) not in seen:
        seen.add(id(error))
        yield str(error)
        if isinstance(error, PySparkException):
            # The message of a failed commit names neither the file nor the reason; the causes in the stack do.
            yield str(getattr(error, "_stackTrace", None))
        error = error.__cause__ or error.__context__
