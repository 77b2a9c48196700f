"""The daemon of Python workers for sessions that work with networks: torch takes longest of all to import."""

# ruff: noqa: I001 - the first decides where the second finds Spark's code.

from recsys_spark.runtime.worker_daemon import manager
import recsys_spark.inference.network_scorer  # noqa: F401 - for the workers

__all__ = ["manager"]

if __name__ == "__main__":
    manager()  # type: ignore[no-untyped-call]
