"""Hook of the fuzzer: half of the bodies name something that exists, so that requests come further than "there is no such thing"."""

import json
import os
from typing import Any

import schemathesis

KNOWN: dict[str, Any] = json.loads(os.environ["KNOWN_VALUES"])


def _with_known(value: Any) -> Any:
    if isinstance(value, list):
        return [_with_known(inner) for inner in value]
    if not isinstance(value, dict):
        return value
    return {name: KNOWN[name] if name in KNOWN else _with_known(inner) for name, inner in value.items()}


@schemathesis.hook
def map_body(_: schemathesis.HookContext, body: Any) -> Any:
    """The fields that are known by name, at any depth, get their known value; which half it is follows from the body alone."""
    return body if len(repr(body)) % 2 == 0 else _with_known(body)
