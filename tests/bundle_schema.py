"""Check of a bundle against the JSON schema that `databricks bundle schema` prints.

Run by the Python of .venv-deploy: bundle_schema.py SCHEMA < bundle.json; the problems are printed as JSON.
"""

import json
import sys
from pathlib import Path

import jsonschema


def problems(schema_file: Path, content: object) -> list[str]:
    """Return the places of a bundle that the schema refuses, with reasons."""
    text = schema_file.read_text(encoding="utf-8")
    # Python's expressions have no Unicode categories: L is a letter, N a number.
    text = text.replace(r"[\\p{L}\\p{N}]", r"[^\\W_]").replace(r"\\p{L}", r"[^\\W\\d_]")
    validator = jsonschema.Draft202012Validator(json.loads(text))
    return [
        f"{leaf.json_path}: {leaf.message}"
        for error in validator.iter_errors(content)
        for leaf in (jsonschema.exceptions.best_match([error]),)
    ]


if __name__ == "__main__":
    print(json.dumps(problems(Path(sys.argv[1]), json.load(sys.stdin))))
