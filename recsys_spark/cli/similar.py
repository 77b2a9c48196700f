"""`recsys similar`: the items nearest to an item, by the serving model."""

from collections.abc import Sequence

from recsys_spark.cli.question import Question, answer
from recsys_spark.core.errors import MissingInputError

__all__ = ["main"]

USAGE = """usage: recsys similar ITEM [--top N] [--json] [--config FILE]... [--section.key VALUE]...

Print the items nearest to an item, by its id or name, from item_similarity of the serving model.
"""


def main(arguments: Sequence[str]) -> int:
    """Run the command and return the exit code."""
    return answer(USAGE, arguments, _print_similar)


def _print_similar(question: Question) -> None:
    from recsys_spark.cli.item_search import find_item, names_of
    from recsys_spark.cli.output import print_json, print_rows
    from recsys_spark.cli.serving import serving_model
    from recsys_spark.storage.stored_tables import StoredTables, literal

    tables = StoredTables(question.root)
    model = serving_model(tables, "item_similarity")
    # The words of a name may stand without quotation marks.
    item_id, name = find_item(tables, " ".join(question.words))
    rows = tables.query(
        "SELECT position, similar_item_id, similarity FROM item_similarity"
        f" WHERE model_version = {literal(model.version)} AND item_id = {literal(item_id)}"
        f" ORDER BY position LIMIT {question.top}",
        "item_similarity",
    )
    if not rows:
        raise MissingInputError(
            f"{model.version} has no neighbours of {name} ({item_id}), as it was not trained on this item: run"
            " run_pipeline if its plays are new"
        )
    names = names_of(tables, [row["similar_item_id"] for row in rows])
    rows = [{**row, "similar_item": names[row["similar_item_id"]]} for row in rows]
    if question.as_json:
        print_json([{"model_version": model.version, "item_id": item_id, "item": name, **row} for row in rows])
        return
    columns = ("position", "similar_item", "similar_item_id", "similarity")
    print_rows(f"Nearest to {name} ({item_id}), by {model.version}", columns, rows)
