"""Scores planning requests with a model: JSON lines on standard input and output. See --help."""

import argparse
import os
import sys

from planner_model.errors import run_command
from planner_model.quiet import silence

if __name__ == "__main__":
    parser = argparse.ArgumentParser(prog="score_candidates.py", description=__doc__, allow_abbrev=False)
    parser.add_argument("--model", required=True, help="a folder, or a version in MLflow such as planner_model/3")
    parser.add_argument("--mlflow-url", default=os.environ.get("MLFLOW_URL", ""), help="default: MLFLOW_URL")
    options = parser.parse_args()

    def command() -> None:
        """Imported here: the packages take seconds, and wrong options need none of them."""
        silence()
        from planner_model.scoring import score_stream

        score_stream(options.model, options.mlflow_url)

    sys.exit(run_command("score_candidates", command))
