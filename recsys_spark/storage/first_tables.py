"""Record of the first table of each name, to recognise tables created again."""

from pathlib import Path
from uuid import uuid4

from recsys_spark.core.atomic_files import DRAFT, name_new_file

__all__ = ["is_first_table"]

FOLDER = "table_ids"


def is_first_table(files_root: Path | None, name: str, table_id: str) -> bool:
    """Return True if no other table of this name was recorded below files.root before; record it.

    `table_id` is the id that Delta gave the table. Without a local files.root nothing is recorded or built.
    """
    if files_root is None:
        return True
    file = files_root / FOLDER / f"{name}.txt"
    if not file.exists():
        file.parent.mkdir(parents=True, exist_ok=True)
        # The file is complete before it has its name, so that a killed job leaves no partial one.
        draft = file.with_name(f".{name}.{uuid4().hex}{DRAFT}")
        draft.write_text(table_id, encoding="utf-8")
        name_new_file(draft, file)
    return file.read_text(encoding="utf-8") == table_id
