"""The daemon of Python workers for sessions that work with networks: torch takes longest of all to import."""

from recsys_spark.inference import network_scorer
from recsys_spark.worker_daemon import LOADED, manager

__all__ = ["ALL_LOADED"]

ALL_LOADED = (network_scorer, *LOADED)

if __name__ == "__main__":
    manager()  # type: ignore[no-untyped-call]
