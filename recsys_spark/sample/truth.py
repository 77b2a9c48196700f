"""Truth about a sample (truth/truth.json): settings, counts, and expected counts of an ingestion.

The file is written last, inside a folder that is renamed as a whole: a folder with this file is complete.
"""

import json
from collections import Counter
from dataclasses import asdict
from pathlib import Path
from typing import Any

from recsys_spark.config.sample import SamplePlan
from recsys_spark.core.errors import ConfigError

__all__ = ["TRUTH", "build_truth", "finished_counts", "write_truth"]

TRUTH = "truth/truth.json"

# Increased when the same plan gives other content than before.
CONTENT_VERSION = 1


def build_truth(plan: SamplePlan, tally: Counter[str], copies_are_valid: bool) -> dict[str, Any]:
    """Return the content of truth.json.

    `expected` has the counts of an ingestion of all files (with valid + duplicate + quarantined = read) and of the
    distinct pairs of user and item afterwards. counts.items includes items without plays, as the file of items does.
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
            "rows_valid": stated + copies if copies_are_valid else stated,
            "rows_duplicate": 0 if copies_are_valid else copies,
            "rows_quarantined": counts["broken"],
            "pairs": tally["pairs"],
        },
    }


def write_truth(root: Path, truth: dict[str, Any]) -> None:
    """Write truth.json below `root`."""
    (root / TRUTH).write_text(json.dumps(truth, indent=2) + "\n", encoding="utf-8")


def finished_counts(root: Path, plan: SamplePlan) -> dict[str, int] | None:
    """Return the counts of a folder with a sample of this plan; None if missing or empty.

    Raises ConfigError for a folder with other content.
    """
    if not root.exists() or (root.is_dir() and not any(root.iterdir())):
        return None
    wanted = _request(plan)
    remedy = "delete it or choose another folder"
    try:
        truth = json.loads((root / TRUTH).read_text(encoding="utf-8"))
        found = _flat({key: truth[key] for key in wanted})
        counts: dict[str, int] = truth["counts"]
    except (OSError, ValueError, KeyError, TypeError):
        raise ConfigError(f"{root} exists and was not made by generate_sample: {remedy}") from None
    plan_values = _flat(wanted)
    if found != plan_values:
        differences = [
            f"{key} is {found.get(key)}, not {plan_values.get(key)}"
            for key in sorted({*found, *plan_values})
            if found.get(key) != plan_values.get(key)
        ]
        raise ConfigError(
            f"{root} holds a sample of other settings or another seed ({', '.join(differences)}): {remedy}"
        )
    return counts


def _flat(request: dict[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in request.items() if key != "settings"} | dict(request["settings"])


def _request(plan: SamplePlan) -> dict[str, Any]:
    """Return all that the content depends on, as stored in truth.json."""
    settings = asdict(plan)
    seed = settings.pop("seed")
    return {
        "generator": "recsys_spark.sample",
        "content_version": CONTENT_VERSION,
        "seed": seed,
        "settings": settings,
    }
