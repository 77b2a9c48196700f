"""Daemon of Python workers that preloads torch, whose import takes longest, for sessions with networks."""

# ruff: noqa: I001 - the first import sets the path on which the second finds Spark's code.

from recsys_spark.runtime.worker_daemon import manager
import recsys_spark.inference.network_scorer  # noqa: F401 - preloaded for the workers

__all__ = ["manager"]

if __name__ == "__main__":
    manager()  # type: ignore[no-untyped-call]
