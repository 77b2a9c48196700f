"""truth/truth.json: what was asked for, what was made, and what an ingestion must therefore find.

The file is written last, inside a folder that is renamed as a whole: where it exists, all is complete.
"""

import json
from collections import Counter
from dataclasses import asdict
from pathlib import Path
from typing import Any

from recsys_spark.config.sample import SamplePlan
from recsys_spark.core.errors import ConfigError

__all__ = ["TRUTH", "finished_counts", "summarise", "write_truth"]

TRUTH = "truth/truth.json"

# Raised when the same plan gives other content than before.
CONTENT_VERSION = 1


def summarise(plan: SamplePlan, tally: Counter[str], copies_count: bool) -> dict[str, Any]:
    """The content of truth.json.

    `expected` states the counts of an ingestion of all files (with valid + duplicate + quarantined =
    read) and of the distinct pairs of user and item afterwards. Items without any play are among
    counts.items, as they are in the file of items.
    """
    counts = {"users": plan.users, "items": plan.items}
    counts |= {kind: tally[kind] for kind in ("rows", "broken", "duplicated", "late")}
    stated = counts["rows"] + counts["late"]
    copies = counts["duplicated"]
    return {
        **_request(plan),
        "counts": counts,
        "broken": {name.removeprefix("broken."): tally[name] for name in sorted(tally) if "." in name},
        "expected": {
            "rows_read": stated + copies + counts["broken"],
            "rows_valid": stated + copies if copies_count else stated,
            "rows_duplicate": 0 if copies_count else copies,
            "rows_quarantined": counts["broken"],
            "pairs": tally["pairs"],
        },
    }


def write_truth(root: Path, truth: dict[str, Any]) -> None:
    """Writes truth.json below `root`."""
    (root / TRUTH).write_text(json.dumps(truth, indent=2) + "\n", encoding="utf-8")


def finished_counts(root: Path, plan: SamplePlan) -> dict[str, int] | None:
    """Counts of a folder that holds this very plan already; None if there is nothing yet.

    Raises ConfigError for a folder with other content.
    """
    if not root.exists() or (root.is_dir() and not any(root.iterdir())):
        return None
    remedy = "delete it or choose another folder"
    try:
        truth = json.loads((root / TRUTH).read_text(encoding="utf-8"))
        found = {key: truth[key] for key in _request(plan)}
        counts: dict[str, int] = truth["counts"]
    except (OSError, ValueError, KeyError, TypeError):
        raise ConfigError(f"{root} exists and was not made by generate_sample: {remedy}") from None
    if found != _request(plan):
        raise ConfigError(f"{root} holds a sample of other settings or another seed ({found}): {remedy}")
    return counts


def _request(plan: SamplePlan) -> dict[str, Any]:
    """What the content depends on, as truth.json states it."""
    settings = asdict(plan)
    seed = settings.pop("seed")
    return {
        "generator": "recsys_spark.sample",
        "content_version": CONTENT_VERSION,
        "seed": seed,
        "settings": settings,
    }
