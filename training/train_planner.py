"""Fine-tunes the planner's model on a dataset and registers it in MLflow: python train_planner.py --help."""

import sys

from planner_model.errors import run_command
from planner_model.options import parse_options
from planner_model.quiet import silence

if __name__ == "__main__":
    options = parse_options(sys.argv[1:])

    def command() -> None:
        """Imported here: the packages take seconds, and --help and wrong options need none of them."""
        silence()
        from planner_model.training_run import train

        train(options)

    sys.exit(run_command("train_planner", command))
