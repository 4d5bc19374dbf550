"""Answers planning requests over HTTP with registered versions of the planner's model. See --help."""

import sys

from planner_model.errors import run_command
from planner_model.quiet import silence
from planner_model.serving.options import parse_serving_options

if __name__ == "__main__":
    options = parse_serving_options(sys.argv[1:])

    def command() -> None:
        """Imported here: the packages take seconds, and wrong options need none of them."""
        silence()
        from planner_model.serving.serve import serve

        serve(options)

    sys.exit(run_command("serve_planner", command))
