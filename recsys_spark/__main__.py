"""The command `recsys` as `python -m recsys_spark`."""

from recsys_spark.interface.commands import entry_point

__all__ = ["entry_point"]

if __name__ == "__main__":
    entry_point()
