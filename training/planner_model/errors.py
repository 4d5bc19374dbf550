"""What stops a command: one sentence for the person who ran it, never a traceback."""

import sys
from collections.abc import Callable


class TrainingError(Exception):
    """A cause that the person who ran the command can do something about; the message is one sentence."""


def run_command(name: str, command: Callable[[], None]) -> int:
    """Runs a command and gives its exit code: 0, or 1 with one sentence on stderr."""
    try:
        command()
    except TrainingError as error:
        print(f"{name}: {error}", file=sys.stderr)
        return 1
    except MemoryError:
        print(f"{name}: there is too little memory", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print(f"{name}: stopped; --resume goes on from the last finished epoch", file=sys.stderr)
        return 130
    return 0
