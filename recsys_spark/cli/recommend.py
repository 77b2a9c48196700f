"""`recsys recommend`: the recommendations of a user, by the serving model."""

from collections.abc import Sequence

from recsys_spark.cli.question import Question, answer
from recsys_spark.core.errors import ConfigError, MissingInputError

__all__ = ["main"]

USAGE = """usage: recsys recommend USER [--top N] [--json] [--config FILE]... [--section.key VALUE]...

Print the recommendations of a user, by its id, from recommendations of the serving model.
"""


def main(arguments: Sequence[str]) -> int:
    """Run the command and return the exit code."""
    return answer(USAGE, arguments, _print_recommendations)


def _print_recommendations(question: Question) -> None:
    from recsys_spark.cli.item_search import names_of
    from recsys_spark.cli.output import print_json, print_rows
    from recsys_spark.cli.serving import serving_model
    from recsys_spark.storage.stored_tables import StoredTables, literal

    if len(question.words) > 1:
        raise ConfigError(f"{len(question.words)} users are given: ask for one, with quotation marks around blanks")
    (user,) = question.words
    tables = StoredTables(question.root)
    model = serving_model(tables, "recommendations")
    rows = tables.query(
        "SELECT position, item_id, score, origin FROM recommendations"
        f" WHERE model_version = {literal(model.version)} AND user_id = {literal(user)}"
        f" ORDER BY position LIMIT {question.top}",
        "recommendations",
    )
    if not rows:
        # Ids of other users are personal data: none is suggested.
        raise MissingInputError(
            f"{model.version} has no recommendations of the user {user!r}: correct the id, or run"
            f" build_recommendations --model.version {model.version} if the user is new"
        )
    names = names_of(tables, [row["item_id"] for row in rows])
    rows = [{**row, "item": names[row["item_id"]]} for row in rows]
    if question.as_json:
        print_json([{"model_version": model.version, "user_id": user, **row} for row in rows])
        return
    print_rows(
        f"Recommendations of {user}, by {model.version}", ("position", "item", "item_id", "score", "origin"), rows
    )
