"""`recsys recommend`: the recommendations of a user, by the serving model."""

from collections.abc import Sequence

from recsys_spark.core.errors import ConfigError
from recsys_spark.interface.question import Question, answer

__all__ = ["main"]

USAGE = """usage: recsys recommend USER [--top N] [--json] [--config FILE]... [--section.key VALUE]...

Print the recommendations of a user, by its id, from recommendations of the serving model.
"""


def main(arguments: Sequence[str]) -> int:
    """Run the command and return the exit code."""
    return answer(USAGE, arguments, _print_recommendations)


def _print_recommendations(question: Question) -> None:
    from recsys_spark.interface.lists import recommendations
    from recsys_spark.interface.output import print_json, print_rows
    from recsys_spark.storage.stored_tables import StoredTables

    if len(question.words) > 1:
        raise ConfigError(f"{len(question.words)} users are given: ask for one, with quotation marks around blanks")
    found = recommendations(StoredTables(question.root), question.words[0], question.top)
    if question.as_json:
        about = {"model_version": found.model_version, "user_id": found.subject}
        print_json([{**about, **row} for row in found.rows])
        return
    columns = ("position", "item", "item_id", "score", "origin")
    print_rows(f"Recommendations of {found.name}, by {found.model_version}", columns, found.rows)
