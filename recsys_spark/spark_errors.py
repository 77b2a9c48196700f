"""What Spark raises: most errors are converted, those of a failed task reach Python as the JVM threw them."""

from py4j.protocol import Py4JError
from pyspark.errors import PySparkException

__all__ = ["SPARK_ERRORS"]

SPARK_ERRORS = (PySparkException, Py4JError)
