"""Runs the Python client for a test: takes one JSON command a line on stdin, and prints one JSON answer a line."""

import dataclasses
import json
import sys
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[3] / "clients" / "python"))
from trialstream_client import Decision, TrialstreamClient, Unit


def main() -> None:
    """The first line holds the client's options; then come {"call", "unit", "keys", …} until the end of input."""
    errors: list[str] = []
    client = TrialstreamClient(
        **json.loads(sys.stdin.readline()), on_error=lambda kind, error: errors.append(f"{kind}: {error}")
    )

    def answer(command: dict[str, Any]) -> Any:
        call = command["call"]
        if call in ("ready", "flush"):
            return getattr(client, call)()
        if call == "errors":
            return errors
        unit = Unit(*command["unit"])
        if call == "assign_all":
            decisions = client.assign_all(unit, command["keys"])
            return {key: dataclasses.asdict(decision) for key, decision in decisions.items()}
        if call == "evaluate":
            return dataclasses.asdict(client.evaluate(command["keys"][0], unit))
        decision = Decision(**{**command["decision"], "unit": unit})
        if call == "expose":
            return client.expose(decision)
        return client.track(command["event_type"], unit, decisions=[decision], metrics=command["metrics"])

    for line in sys.stdin:
        print(json.dumps(answer(json.loads(line))), flush=True)
    client.close()


main()
