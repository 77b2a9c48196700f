"""Record of the first table of each name, to recognise tables created again."""

from pathlib import Path

from recsys_spark.core.atomic_files import write_once

__all__ = ["is_first_table"]

FOLDER = "table_ids"


def is_first_table(files_root: Path | None, name: str, table_id: str) -> bool:
    """Return True if no other table of this name was recorded below files.root before; record it.

    `table_id` is the id that Delta gave the table. Without a local files.root nothing is recorded or built.
    """
    if files_root is None:
        return True
    file = files_root / FOLDER / f"{name}.txt"
    file.parent.mkdir(parents=True, exist_ok=True)
    return write_once(file, table_id) == table_id
