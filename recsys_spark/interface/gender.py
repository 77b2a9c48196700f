"""`recsys gender`: the gender of a listener of some titles, by the serving classifier."""

from collections.abc import Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING

from recsys_spark.interface.question import Question, answer

if TYPE_CHECKING:
    from recsys_spark.gender.title_prediction import TitlePrediction

__all__ = ["main"]

USAGE = """usage: recsys gender TITLE... [--json] [--config FILE]... [--section.key VALUE]...

Predict the gender of a listener who played these titles or item ids once, by the serving classifier.
"""


def main(arguments: Sequence[str]) -> int:
    """Run the command and return the exit code."""
    return answer(USAGE, arguments, _print_gender)


def _print_gender(question: Question) -> None:
    from recsys_spark.gender.title_prediction import print_prediction
    from recsys_spark.interface.gender_model import predict
    from recsys_spark.interface.output import print_json
    from recsys_spark.interface.serving import serving_model
    from recsys_spark.storage.stored_tables import StoredTables

    tables = StoredTables(question.root)
    version = serving_model(tables, "gender_predictions")
    prediction = predict(tables, version, question.words, question.config)
    if question.as_json:
        print_json([{"model_version": version.version, **_as_json(prediction)}])
        return
    print_prediction(prediction)


def _as_json(prediction: "TitlePrediction") -> dict[str, object]:
    unknown = [{"title": match.asked, "nearest": list(match.suggestions)} for match in prediction.unknown]
    return {**asdict(prediction), "unknown": unknown}
