"""`recsys similar`: the items nearest to an item, by the serving model."""

from collections.abc import Sequence

from recsys_spark.interface.question import Question, answer

__all__ = ["main"]

USAGE = """usage: recsys similar ITEM [--top N] [--json] [--config FILE]... [--section.key VALUE]...

Print the items nearest to an item, by its id or name, from item_similarity of the serving model.
"""


def main(arguments: Sequence[str]) -> int:
    """Run the command and return the exit code."""
    return answer(USAGE, arguments, _print_similar)


def _print_similar(question: Question) -> None:
    from recsys_spark.interface.lists import similar_items
    from recsys_spark.interface.output import print_json, print_rows
    from recsys_spark.storage.stored_tables import StoredTables

    # The words of a name may stand without quotation marks.
    found = similar_items(StoredTables(question.root), " ".join(question.words), question.top)
    if question.as_json:
        about = {"model_version": found.model_version, "item_id": found.subject, "item": found.name}
        print_json([{**about, **row} for row in found.rows])
        return
    columns = ("position", "similar_item", "similar_item_id", "similarity")
    print_rows(f"Nearest to {found.name} ({found.subject}), by {found.model_version}", columns, found.rows)
