"""Variants, exposures and events of Trialstream experiments: one file, standard library only, Python 3.11 or later.

Decisions are made here, from definitions that the assignment service streams, with the rules of the service (`mode="local"`), or by
the service itself (`mode="remote"`). Events and exposures are sent in the background, at least once and idempotent by event id and
day. Apart from wrong arguments nothing raises: without an answer a unit gets no variant and a reason, and `on_error` hears why.
Threads do not survive a fork: create the client in the process that uses it.
"""

from __future__ import annotations

import atexit
import hashlib
import http.client
import json
import logging
import math
import operator
import random
import re
import socket
import threading
import time
import urllib.parse
import uuid
from collections import OrderedDict
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import Any, Literal, Protocol, Self, TypeVar

__all__ = ["Decision", "MemoryStore", "StickyStore", "TrialstreamClient", "Unit", "bucket_of", "id_of_name", "murmur3"]

logger = logging.getLogger("trialstream")

ErrorKind = Literal["definitions", "assignment", "event", "sticky-store"]
JsonObject = Mapping[str, Any]
_Result = TypeVar("_Result")


# What callers give and get


@dataclass(frozen=True, slots=True)
class Unit:
    """Who or what gets a variant; `context` holds the attributes that targeting looks at, as JSON values."""

    unit_type: str
    unit_id: str
    context: JsonObject = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Decision:
    """What one unit gets from one experiment.

    `variant_id` is what to deliver; None means your default, such as the production policy. `assigned_variant_id` is what is analyzed.
    `reason` is `assigned`, `forced` or `all-to` with a variant; without one it says why, such as `outside-coverage`, `not-targeted`,
    `paused`, `off`, `unknown-experiment`, `store-required` (only the service can answer) or `unavailable`. `origin` is `local`,
    `sticky` (remembered) or `remote` (answered by the service).
    """

    experiment_key: str
    unit: Unit
    reason: str
    experiment_id: str | None = None
    variant_id: str | None = None
    variant_name: str | None = None
    config: JsonObject | None = None
    assigned_variant_id: str | None = None
    hash_bucket: int | None = None
    origin: Literal["local", "sticky", "remote"] = "local"

    @property
    def params(self) -> JsonObject:
        """The params of the delivered variant; empty without one."""
        params = (self.config or {}).get("params")
        return params if isinstance(params, Mapping) else {}


class StickyStore(Protocol):
    """Remembers what units got, as short texts. It is used from several threads; one that raises is reported and done without."""

    def get(self, key: str) -> str | None:
        """Return what was set last, or None."""

    def set(self, key: str, value: str) -> None:
        """Remember the value."""


class MemoryStore:
    """Keeps the entries written last."""

    def __init__(self, max_entries: int = 10_000) -> None:
        self._max_entries = max_entries
        self._entries: OrderedDict[str, str] = OrderedDict()
        self._lock = threading.Lock()

    def get(self, key: str) -> str | None:
        """Return what was set last, or None."""
        return self._entries.get(key)

    def set(self, key: str, value: str) -> None:
        """Remember the value; the oldest entry is forgotten when there are too many."""
        with self._lock:
            self._entries[key] = value
            self._entries.move_to_end(key)
            if len(self._entries) > self._max_entries:
                self._entries.popitem(last=False)


# Hash, buckets and ids: domain/assignment/vectors.json has the expected values for every language

_BUCKET_COUNT = 10_000
_FULL_SHARE = 10_000
_ID_NAMESPACE = uuid.UUID("31d7f979-76fe-4792-b148-503e3994e68b")
_MASK = 0xFFFFFFFF


def _utf8(text: str) -> bytes:
    """UTF-8 without normalization; an unpaired surrogate counts as U+FFFD, as browsers' encoders write it."""
    try:
        return text.encode()
    except UnicodeEncodeError:
        return text.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace").encode()


def _scramble(block: int) -> int:
    block = block * 0xCC9E2D51 & _MASK
    return ((block << 15) | (block >> 17)) * 0x1B873593 & _MASK


def murmur3(text: str, seed: int = 0) -> int:
    """murmur3_x86_32 of the UTF-8 bytes as an unsigned integer (Austin Appleby, MurmurHash3.cpp, public domain)."""
    data = _utf8(text)
    state = seed & _MASK
    whole = len(data) & ~3
    for position in range(0, whole, 4):
        state ^= _scramble(int.from_bytes(data[position : position + 4], "little"))
        state = (((state << 13) | (state >> 19)) * 5 + 0xE6546B64) & _MASK
    state ^= _scramble(int.from_bytes(data[whole:], "little")) ^ len(data)
    state = (state ^ (state >> 16)) * 0x85EBCA6B & _MASK
    state = (state ^ (state >> 13)) * 0xC2B2AE35 & _MASK
    return state ^ (state >> 16)


def bucket_of(salt: str, unit_id: str) -> int:
    """Bucket (0..9999) of a unit; the salt is an experiment id, `layer:<id>` or `holdout:<id>`."""
    return murmur3(f"{salt}:{unit_id}") % _BUCKET_COUNT


def id_of_name(name: str) -> str:
    """UUIDv5 of a name such as `experiment/<key>/<iteration>`, in the namespace of all derived ids."""
    digest = hashlib.sha1(_ID_NAMESPACE.bytes + _utf8(name), usedforsecurity=False).digest()
    return str(uuid.UUID(bytes=digest[:16], version=5))


# Targeting: the conditions are specified with the comparison rules of JavaScript, which are spelled out here

_Predicate = Callable[[object], bool]
_JS_SPACE = "\t\n\v\f\r \u00a0\u1680\u2000-\u200a\u2028\u2029\u202f\u205f\u3000\ufeff"
_JS_SPACES = "".join(chr(c) for c in range(0x2000, 0x200B)) + _JS_SPACE.replace("\u2000-\u200a", "")
_DECIMAL = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?", re.ASCII)
_RADIX = {"0x": 16, "0o": 8, "0b": 2}


class _UnsupportedError(Exception):
    """A condition that cannot be evaluated here exactly as the service does: the service is asked instead."""


class _MalformedError(Exception):
    """A part of a condition that no value meets, because it is malformed."""


def _double(value: float) -> float:
    try:
        return float(value)
    except OverflowError:
        return math.copysign(math.inf, value)


def _is_number(value: object) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool)


def _is_list(value: object) -> bool:
    return isinstance(value, (list, tuple))


def _number_of_text(text: str) -> float:
    text = text.strip(_JS_SPACES)
    if not text:
        return 0.0
    if _DECIMAL.fullmatch(text):
        return float(text)
    if text.lstrip("+-") == "Infinity" and len(text) <= len("-Infinity"):
        return -math.inf if text[0] == "-" else math.inf
    radix = _RADIX.get(text[:2].lower())
    if radix is not None and re.fullmatch("[0-9a-fA-F]+", text[2:]):
        with suppress(ValueError):
            return _double(int(text[2:], radix))
    return math.nan


def _number(value: object) -> float:
    """Number(value)."""
    if value is None:
        return 0.0
    if isinstance(value, (int, float)):
        return _double(value)
    return _number_of_text(_text(value))


def _text_of_number(value: float) -> str:
    number = _double(value)
    if not math.isfinite(number):
        return "NaN" if math.isnan(number) else "Infinity" if number > 0 else "-Infinity"
    if number == 0:
        return "0"
    sign, digits, exponent = "-" if number < 0 else "", "", 0
    mantissa, _, power = f"{abs(number)!r}".partition("e")
    before, _, after = mantissa.partition(".")
    after = after if after != "0" or power else ""
    digits = (before + after).lstrip("0")
    # The value is 0.<digits> * 10^exponent.
    exponent = int(power or 0) + len(before) - (len(before + after) - len(digits))
    digits = digits.rstrip("0")
    if len(digits) <= exponent <= 21:
        return sign + digits.ljust(exponent, "0")
    if 0 < exponent <= 21:
        return f"{sign}{digits[:exponent]}.{digits[exponent:]}"
    if -6 < exponent <= 0:
        return f"{sign}0.{digits.rjust(len(digits) - exponent, '0')}"
    fraction = f".{digits[1:]}" if len(digits) > 1 else ""
    return f"{sign}{digits[0]}{fraction}e{exponent - 1:+d}"


def _text(value: object) -> str:
    """String(value)."""
    if isinstance(value, str):
        return value
    if value is None:
        return "null"
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, (int, float)):
        return _text_of_number(value)
    if isinstance(value, (list, tuple)):
        return ",".join("" if element is None else _text(element) for element in value)
    if isinstance(value, Mapping):
        return "[object Object]"
    raise TypeError(f"{type(value).__name__} is not a JSON value")


def _is_truthy(value: object) -> bool:
    if isinstance(value, (list, tuple, Mapping)):
        return True
    return bool(value) and value == value  # NaN is false


def _code_units(text: str) -> str:
    """The text as UTF-16 code units, which is how JavaScript counts, orders and matches."""
    if text.isascii() or all(character <= "\uffff" for character in text):
        return text
    units = text.encode("utf-16-be", "surrogatepass")
    return "".join(chr(int.from_bytes(units[at : at + 2], "big")) for at in range(0, len(units), 2))


def _identity(value: object) -> tuple[str, object] | None:
    """What makes two scalars strictly equal; lists and objects equal nothing."""
    if value is None:
        return ("null", None)
    if isinstance(value, bool):
        return ("boolean", value)
    if isinstance(value, (int, float)):
        return ("number", _double(value))
    return ("text", _code_units(value)) if isinstance(value, str) else None


def _is_same_json(one: object, other: object) -> bool:
    """JSON.stringify(one) === JSON.stringify(other): objects with the same keys in the same order."""
    if isinstance(one, (list, tuple)):
        return (
            isinstance(other, (list, tuple))
            and len(one) == len(other)
            and all(_is_same_json(left, right) for left, right in zip(one, other, strict=True))
        )
    if isinstance(one, Mapping):
        return (
            isinstance(other, Mapping)
            and _ordered_keys(one) == _ordered_keys(other)
            and all(_is_same_json(value, other[key]) for key, value in one.items())
        )
    identity = _identity(one)
    return identity is not None and identity == _identity(other)


def _ordered_keys(container: Mapping[str, object]) -> list[str]:
    """Keys that are array indexes come first, in their order."""
    return sorted(container, key=lambda key: int(key) if _is_index(key) else math.inf)


def _is_index(key: str) -> bool:
    return re.fullmatch("0|[1-9][0-9]{0,9}", key) is not None and int(key) < _MASK


def _is_operator_object(value: object) -> bool:
    return isinstance(value, Mapping) and len(value) > 0 and all(key.startswith("$") for key in value)


def _never(_value: object) -> bool:
    return False


def _read_own(container: object, name: str) -> object:
    """A property of an object or list; what is missing reads as null."""
    if isinstance(container, Mapping):
        return container.get(name)
    if isinstance(container, (list, tuple)):
        if name == "length":
            return len(container)
        if _is_index(name) and int(name) < len(container):
            element: object = container[int(name)]
            return element
    return None


def _all_of(predicates: Sequence[_Predicate]) -> _Predicate:
    if len(predicates) == 1:
        return predicates[0]
    return lambda value: all(predicate(value) for predicate in predicates)


def _not(predicate: _Predicate) -> _Predicate:
    return lambda value: not predicate(value)


def compile_condition(condition: object, saved_groups: Mapping[str, object] | None = None) -> _Predicate:
    """Turn a targeting condition into a predicate over attributes, which never raises.

    Raises `_UnsupportedError` for a pattern that Python cannot match exactly as JavaScript does.
    """
    predicate = _compile_clauses(condition, saved_groups or {})

    def holds(attributes: object) -> bool:
        try:
            return predicate(attributes)
        except (TypeError, RecursionError):
            return False

    return holds


def _compile_clauses(condition: object, groups: Mapping[str, object]) -> _Predicate:
    if not isinstance(condition, Mapping):
        return _never
    return _all_of([_compile_clause(key, argument, groups) for key, argument in condition.items()])


def _compile_clause(key: str, argument: object, groups: Mapping[str, object]) -> _Predicate:
    if key == "$not":
        return _not(_compile_clauses(argument, groups))
    if key in ("$and", "$or", "$nor"):
        if not isinstance(argument, (list, tuple)):
            return _never
        parts = [_compile_clauses(part, groups) for part in argument]
        if key == "$and":
            return _all_of(parts)

        def is_any_true(attributes: object) -> bool:
            return not parts or any(part(attributes) for part in parts)

        return is_any_true if key == "$or" else _not(is_any_true)
    holds = _compile_value(argument, groups)
    path = key.split(".")

    def holds_at_path(attributes: object) -> bool:
        value = attributes
        for name in path:
            value = _read_own(value, name)
        return holds(value)

    return holds_at_path


def _compile_value(condition: object, groups: Mapping[str, object], fold: bool = False) -> _Predicate:
    """What stands to the right of an attribute path: operators, or a value to be equal to after coercion."""
    if isinstance(condition, Mapping) and _is_operator_object(condition):
        return _all_of([_compile_operator(name, argument, groups) for name, argument in condition.items()])
    if isinstance(condition, (Mapping, list, tuple)):
        return lambda actual: _is_same_json(condition, actual)
    if isinstance(condition, str):
        if fold:
            return lambda actual: _text(actual).lower() == condition.lower()
        return lambda actual: _text(actual) == condition
    if isinstance(condition, bool):
        return lambda actual: actual is not None and _is_truthy(actual) == condition
    if isinstance(condition, (int, float)):
        return lambda actual: _number(actual) == _double(condition)
    return lambda actual: actual is None


def _compile_operator(name: str, argument: object, groups: Mapping[str, object]) -> _Predicate:
    compiler = _OPERATORS.get(name)
    if compiler is None:
        return _never
    try:
        return compiler(argument, groups)
    except _MalformedError:
        return _never


_Operator = Callable[[object, Mapping[str, object]], _Predicate]


def _comparison(order: Callable[[Any, Any], bool]) -> _Operator:
    def compare(actual: object, expected: object) -> bool:
        left = _text(actual) if isinstance(actual, (list, tuple, Mapping)) else actual
        right = _text(expected) if isinstance(expected, (list, tuple, Mapping)) else expected
        if isinstance(left, str) and isinstance(right, str):
            return order(_code_units(left), _code_units(right))
        return order(_number(left), _number(right))

    return lambda expected, _groups: lambda actual: compare(actual, expected)


def _sortable_version(version: object) -> str:
    """A text form of semantic versions whose order is that of the versions; a release is above its pre-releases."""
    text = _text(version) if _is_number(version) else version if isinstance(version, str) and version else "0"
    parts = re.split("[-.]", re.sub("^v|\\+[^\n\r\u2028\u2029]*\\Z", "", text))
    if len(parts) == 3:
        parts.append("~")
    return _code_units("-".join(part.rjust(5) if re.fullmatch("[0-9]+", part) else part for part in parts))


def _version_comparison(order: Callable[[str, str], bool]) -> _Operator:
    def compile_comparison(argument: object, _groups: Mapping[str, object]) -> _Predicate:
        expected = _sortable_version(argument)
        return lambda actual: order(_sortable_version(actual), expected)

    return compile_comparison


def _equality(negated: bool) -> _Operator:
    def compile_equality(expected: object, _groups: Mapping[str, object]) -> _Predicate:
        wanted = _identity(expected)
        return lambda actual: (wanted is not None and _identity(actual) == wanted) != negated

    return compile_equality


def _is_among(members: object, fold: bool = False) -> _Predicate:
    """True when the value, or one element of a list, is in the list of members."""

    def key_of(value: object) -> tuple[str, object] | None:
        return _identity(value.lower() if fold and isinstance(value, str) else value)

    listed = members if isinstance(members, (list, tuple)) else ()
    keys = {key for member in listed if (key := key_of(member)) is not None}

    def is_among(actual: object) -> bool:
        candidates = actual if isinstance(actual, (list, tuple)) else (actual,)
        return any(key_of(candidate) in keys for candidate in candidates)

    return is_among


def _membership(fold: bool = False, negated: bool = False) -> _Operator:
    def compile_membership(argument: object, _groups: Mapping[str, object]) -> _Predicate:
        if not _is_list(argument):
            raise _MalformedError
        is_among = _is_among(argument, fold)
        return _not(is_among) if negated else is_among

    return compile_membership


def _in_group(argument: object, groups: Mapping[str, object]) -> _Predicate:
    return _is_among(groups.get(_text(argument), ()))


def _contains_all(fold: bool) -> _Operator:
    def compile_all(argument: object, groups: Mapping[str, object]) -> _Predicate:
        if not isinstance(argument, (list, tuple)):
            raise _MalformedError
        wanted = [_compile_value(element, groups, fold) for element in argument]

        def contains_all(actual: object) -> bool:
            return isinstance(actual, (list, tuple)) and all(any(map(holds, actual)) for holds in wanted)

        return contains_all

    return compile_all


def _has_size(argument: object, groups: Mapping[str, object]) -> _Predicate:
    holds = _compile_value(argument, groups)
    return lambda actual: isinstance(actual, (list, tuple)) and holds(len(actual))


def _has_element(argument: object, groups: Mapping[str, object]) -> _Predicate:
    holds = _compile_value(argument, groups) if _is_operator_object(argument) else _compile_clauses(argument, groups)
    # Falsy elements (0, "", null) never match: so says the specification's reference.
    return lambda actual: (
        isinstance(actual, (list, tuple)) and any(_is_truthy(element) and holds(element) for element in actual)
    )


def _matches(ignore_case: bool) -> _Operator:
    def compile_pattern(pattern: object, _groups: Mapping[str, object]) -> _Predicate:
        if not isinstance(pattern, str):
            raise _MalformedError
        expression = _compile_pattern(_code_units(pattern), ignore_case)
        return lambda actual: expression.search(_code_units(_text(actual))) is not None

    return compile_pattern


def _type_name(value: object) -> str:
    if value is None:
        return "null"
    if isinstance(value, bool):
        return "boolean"
    if isinstance(value, (int, float)):
        return "number"
    return "string" if isinstance(value, str) else "array" if _is_list(value) else "object"


def _has_type(expected: object, _groups: Mapping[str, object]) -> _Predicate:
    return lambda actual: isinstance(expected, str) and _type_name(actual) == expected


def _exists(expected: object, _groups: Mapping[str, object]) -> _Predicate:
    wanted = _is_truthy(expected)
    return lambda actual: (actual is not None) == wanted


_OPERATORS: dict[str, _Operator] = {
    "$eq": _equality(negated=False),
    "$ne": _equality(negated=True),
    "$lt": _comparison(operator.lt),
    "$lte": _comparison(operator.le),
    "$gt": _comparison(operator.gt),
    "$gte": _comparison(operator.ge),
    "$veq": _version_comparison(operator.eq),
    "$vne": _version_comparison(operator.ne),
    "$vlt": _version_comparison(operator.lt),
    "$vlte": _version_comparison(operator.le),
    "$vgt": _version_comparison(operator.gt),
    "$vgte": _version_comparison(operator.ge),
    "$exists": _exists,
    "$in": _membership(),
    "$nin": _membership(negated=True),
    "$ini": _membership(fold=True),
    "$nini": _membership(fold=True, negated=True),
    "$inGroup": _in_group,
    "$notInGroup": lambda argument, groups: _not(_in_group(argument, groups)),
    "$not": lambda argument, groups: _not(_compile_value(argument, groups)),
    "$size": _has_size,
    "$elemMatch": _has_element,
    "$all": _contains_all(fold=False),
    "$alli": _contains_all(fold=True),
    "$regex": _matches(ignore_case=False),
    "$regexi": _matches(ignore_case=True),
    "$type": _has_type,
}

# What a pattern may consist of to mean the same in JavaScript (without the u flag) and, translated, in Python under re.ASCII.
_PATTERN_TOKEN = re.compile(
    r"""
    (?P<kept> \\[dDwWbBnrtfv] | \\[^A-Za-z0-9] | \(\?[:=!] | \((?!\?) | [)|^] | [^\\\[\](){}|^$.*+?] )
    | (?P<class> \[ \^? (?: (?!--|&&|~~|\|\|) (?: [^\\\[\]] | \\[dDwWnrtfvs] | \\[^A-Za-z0-9] ) )+ \] )
    | (?P<count> (?: [*+?] | \{[0-9]+(?:,[0-9]*)?\} ) \??(?!\+) )
    | (?P<translated> \\[sS] | [$.\]}] )
    """,
    re.VERBOSE,
)
_TRANSLATIONS = {
    "$": "\\Z",
    ".": "[^\\n\\r\u2028\u2029]",
    "\\s": f"[{_JS_SPACE}]",
    "\\S": f"[^{_JS_SPACE}]",
    "]": "\\]",
    "}": "\\}",
}


def _compile_pattern(pattern: str, ignore_case: bool) -> re.Pattern[str]:
    """A JavaScript pattern as one that finds a match in the same texts of UTF-16 code units; captures do not matter for that.

    Raises `_UnsupportedError` for what is not surely the same in both languages, such as back references.
    """
    if ignore_case and not pattern.isascii():
        raise _UnsupportedError("case-insensitive matching beyond ASCII differs between languages")
    at, translated = 0, ""
    while at < len(pattern):
        token = _PATTERN_TOKEN.match(pattern, at)
        if token is None:
            if pattern[at] == "[" and "]" not in pattern[at:]:
                raise _MalformedError
            raise _UnsupportedError(f"{pattern[at:]} may not mean the same here")
        at = token.end()
        if token["class"]:
            translated += token["class"].replace("\\\\", "\\x5c").replace("\\s", _JS_SPACE)
        else:
            translated += _TRANSLATIONS.get(token[0], token[0])
    try:
        return re.compile(translated, re.ASCII | re.IGNORECASE if ignore_case else re.ASCII)
    except re.error as error:
        if error.msg.startswith("bad character range"):
            raise _UnsupportedError(error.msg) from error
        raise _MalformedError from error
    except (OverflowError, RecursionError) as error:
        raise _UnsupportedError(str(error)) from error


# Experiments: what one unit gets, by the rules of domain/experiment/evaluate.ts


@dataclass(frozen=True, slots=True)
class _Variant:
    variant_id: str
    name: str
    config: JsonObject
    start: int
    end: int
    full_end: int


@dataclass(frozen=True, slots=True)
class _Experiment:
    key: str
    experiment_id: str
    unit_type: str
    status: str
    serving_mode: str
    serving_variant_id: str | None
    store_required: bool
    variants: Mapping[str, _Variant]
    is_targeted: _Predicate | None
    """None when everybody is."""
    needs_service: bool
    """True when the condition cannot be evaluated here."""
    layer: JsonObject | None
    holdout: JsonObject | None
    forced_variants: Mapping[str, str]
    start_ms: float
    end_ms: float


@dataclass(frozen=True, slots=True)
class _Assignment:
    variant_id: str
    bucket: int
    source: str


@dataclass(frozen=True, slots=True)
class _Evaluation:
    reason: str
    assignment: _Assignment | None = None
    is_new: bool = False
    served_variant_id: str | None = None


def _basis_points(name: str, value: object) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value <= _FULL_SHARE:
        raise ValueError(f"{name} must be an integer of 0..10000 basis points, not {value!r}")
    return value


def _instant_ms(text: str | None, absent: float) -> float:
    return absent if text is None else datetime.fromisoformat(text).timestamp() * 1000


def _compile_experiment(definition: JsonObject) -> _Experiment:
    """Compile a definition of `GET /v1/definitions`. Raises KeyError, TypeError or ValueError when it is malformed."""
    coverage = _basis_points("coverage", definition.get("coverage_basis_points", 0))
    variants: dict[str, _Variant] = {}
    start = 0
    for variant in definition["variants"]:
        allocation = _basis_points("allocation", variant.get("allocation_basis_points", 0))
        end = start + coverage * allocation // _FULL_SHARE
        variant_id = variant["variant_id"]
        variants[variant_id] = _Variant(
            variant_id, variant["name"], variant["config"], start, end, full_end=start + allocation
        )
        start += allocation
    if start > _FULL_SHARE:
        raise ValueError(f"allocations sum to {start} basis points, more than 10000")
    targeting, needs_service = None, False
    if definition["targeting"] is not None:
        try:
            targeting = compile_condition(definition["targeting"])
        except _UnsupportedError:
            needs_service = True
    return _Experiment(
        key=definition["key"],
        experiment_id=definition["experiment_id"],
        unit_type=definition["unit_type"],
        status=definition["status"],
        serving_mode=definition["serving"]["mode"],
        serving_variant_id=definition["serving"].get("variant_id"),
        store_required=definition["store_required"],
        variants=variants,
        is_targeted=targeting,
        needs_service=needs_service,
        layer=definition["layer"],
        holdout=definition["holdout"],
        forced_variants=definition["forced_variants"],
        start_ms=_instant_ms(definition["starts_at"], -math.inf),
        end_ms=_instant_ms(definition["ends_at"], math.inf),
    )


def _is_answered_unasked(experiment: _Experiment) -> bool:
    """Pausing and completing must not take from units what they get."""
    delivers = experiment.status == "completed" and experiment.serving_mode != "off"
    return experiment.status in ("running", "paused") or delivers


def _closed_reason(experiment: _Experiment, now_ms: float) -> str | None:
    if experiment.status != "running":
        return experiment.status
    if now_ms < experiment.start_ms:
        return "not-started"
    return "ended" if now_ms >= experiment.end_ms else None


def _exclusion(experiment: _Experiment, unit: Unit) -> str | None:
    if experiment.is_targeted is not None and not experiment.is_targeted(unit.context):
        return "not-targeted"
    holdout = experiment.holdout
    if holdout is not None and bucket_of(f"holdout:{holdout['id']}", unit.unit_id) < holdout["share_basis_points"]:
        return "held-out"
    return None


def _decide_assignment(
    experiment: _Experiment, unit: Unit, stored: _Assignment | None, closed: str | None
) -> _Evaluation:
    if stored is not None:
        return _Evaluation("stored", stored)
    if closed is not None:
        return _Evaluation(closed)
    bucket = bucket_of(experiment.experiment_id, unit.unit_id)
    forced = experiment.forced_variants.get(unit.unit_id)
    if forced is not None:
        return _Evaluation("forced", _Assignment(forced, bucket, "forced"), is_new=True)
    exclusion = _exclusion(experiment, unit)
    if exclusion is not None:
        return _Evaluation(exclusion)
    layer = experiment.layer
    if layer is not None and not layer["start"] <= bucket_of(f"layer:{layer['id']}", unit.unit_id) < layer["end"]:
        return _Evaluation("outside-layer")
    variant = _variant_at(experiment.variants.values(), bucket)
    if isinstance(variant, str):
        return _Evaluation(variant)
    return _Evaluation("assigned", _Assignment(variant.variant_id, bucket, "hashed"), is_new=True)


def _variant_at(variants: Iterable[_Variant], bucket: int) -> _Variant | str:
    """The variant that a bucket falls in, or why there is none."""
    for variant in variants:
        if variant.start <= bucket < variant.full_end:
            return variant if bucket < variant.end else "outside-coverage"
    return "unallocated"


def _evaluate(experiment: _Experiment, unit: Unit, stored: _Assignment | None, now_ms: float) -> _Evaluation:
    if unit.unit_type != experiment.unit_type:
        return _Evaluation("unit-type-mismatch")
    closed = _closed_reason(experiment, now_ms)
    decision = _decide_assignment(experiment, unit, stored, closed)
    if experiment.status == "archived":
        return replace(decision, reason="archived")
    forced = experiment.forced_variants.get(unit.unit_id)
    if closed in ("draft", "not-started"):
        reason = closed if forced is None else "forced"
        return replace(decision, reason=reason, served_variant_id=forced)
    if experiment.serving_mode == "off":
        return replace(decision, reason="off")
    if experiment.serving_mode == "all_to":
        exclusion = _exclusion(experiment, unit) if decision.assignment is None else None
        if exclusion is not None:
            return replace(decision, reason=exclusion)
        return replace(decision, reason="all-to", served_variant_id=experiment.serving_variant_id)
    if forced is not None:
        return replace(decision, reason="forced", served_variant_id=forced)
    if decision.assignment is None:
        return decision
    if decision.assignment.variant_id not in experiment.variants:
        return replace(decision, reason="unknown-variant")
    return replace(decision, served_variant_id=decision.assignment.variant_id)


def _public_reason(reason: str, source: str | None) -> str:
    """The first answer and all later ones have the same reason, and a unit that was forced once stays out of results."""
    if reason not in ("stored", "assigned"):
        return reason
    return "forced" if source == "forced" else "assigned"


_OnError = Callable[[ErrorKind, Exception], None]


class _LocalEvaluation:
    """Definitions in memory, and what units got from them. `take` replaces the index as a whole, so readers need no lock."""

    def __init__(self, store: StickyStore, now: Callable[[], float], on_error: _OnError) -> None:
        self._store = store
        self._now = now
        self._on_error = on_error
        self._by_key: dict[str, _Experiment] = {}

    def take(self, definitions: Iterable[JsonObject], removed: Iterable[str] | None) -> None:
        """Take definitions over: in addition to those there are and without the removed keys, or instead of them for None."""
        by_key = {} if removed is None else dict(self._by_key)
        for key in removed or ():
            by_key.pop(key, None)
        for definition in definitions:
            try:
                experiment = _compile_experiment(definition)
            except (AttributeError, KeyError, TypeError, ValueError) as error:
                self._on_error("definitions", error)
            else:
                by_key[experiment.key] = experiment
        self._by_key = by_key

    def keys_of(self, unit_type: str) -> list[str]:
        """The experiments of a unit type that enroll or deliver."""
        return [
            key
            for key, experiment in self._by_key.items()
            if experiment.unit_type == unit_type and _is_answered_unasked(experiment)
        ]

    def evaluate(self, key: str, unit: Unit) -> tuple[Decision, bool]:
        """The decision, and whether it is final: a stored row that only the service knows may say something else."""
        experiment = self._by_key.get(key)
        if experiment is None:
            return Decision(key, unit, "unknown-experiment"), True
        stored = self._find(experiment, unit.unit_id)
        if experiment.needs_service and stored is None:
            return Decision(key, unit, "store-required", experiment_id=experiment.experiment_id), False
        result = _evaluate(experiment, unit, stored, self._now() * 1000)
        assignment = result.assignment
        if result.is_new and assignment is not None and assignment.source == "hashed":
            self.remember(experiment.experiment_id, unit.unit_id, assignment, from_service=False)
        served = experiment.variants.get(result.served_variant_id or "")
        needs_store = (
            experiment.store_required and stored is None and not served and experiment.serving_mode == "as_assigned"
        )
        source = assignment.source if assignment else None
        decision = Decision(
            key,
            unit,
            "store-required" if needs_store else _public_reason(result.reason, source),
            experiment_id=experiment.experiment_id,
            variant_id=served.variant_id if served else None,
            variant_name=served.name if served else None,
            config={"params": {}, **served.config} if served else None,
            assigned_variant_id=assignment.variant_id if assignment else None,
            hash_bucket=assignment.bucket if assignment else bucket_of(experiment.experiment_id, unit.unit_id),
            origin="sticky" if stored else "local",
        )
        # Units that were enrolled before it was closed keep what they have, and only the service knows which.
        return decision, not needs_store and result.reason not in ("paused", "completed", "ended")

    def remember(self, experiment_id: str, unit_id: str, assignment: _Assignment, *, from_service: bool) -> None:
        """Keep an assignment, in the form that the TypeScript client keeps too."""
        entry = {"v": assignment.variant_id, "b": assignment.bucket, "s": assignment.source}
        if from_service:
            entry["r"] = True
        text = json.dumps(entry, separators=(",", ":"))
        self._try_store(lambda: self._store.set(f"{experiment_id}:{unit_id}", text))

    def _find(self, experiment: _Experiment, unit_id: str) -> _Assignment | None:
        def read() -> _Assignment | None:
            entry = json.loads(self._store.get(f"{experiment.experiment_id}:{unit_id}") or "{}")
            # What was decided here counts for nothing once stored rows may differ from the hash.
            if not entry.get("v") or (experiment.store_required and not entry.get("r")):
                return None
            return _Assignment(entry["v"], entry["b"], entry["s"])

        return self._try_store(read)

    def _try_store(self, work: Callable[[], _Result]) -> _Result | None:
        try:
            return work()
        except Exception as error:  # whatever a store of the caller's raises
            self._on_error("sticky-store", error)
            return None


# HTTP


class _RefusedError(Exception):
    """An answer other than the expected one."""

    def __init__(self, what: str, status: int, body: object, retry_after: str | None) -> None:
        self.body: JsonObject = body if isinstance(body, Mapping) else {}
        self.retry_after = retry_after
        super().__init__(f"{what} answered with {status}: {self.body.get('message')}")


@dataclass(frozen=True, slots=True)
class _Answer:
    status: int
    body: object
    retry_after: str | None
    etag: str | None


class _Endpoint:
    """Requests to one service. Connections are kept; a request may be repeated, because all of ours are idempotent."""

    def __init__(self, base_url: str, api_key: str | None) -> None:
        parts = urllib.parse.urlsplit(base_url)
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise ValueError(f"{base_url!r} is not the address of a service, such as https://assignments.example.com")
        self._scheme, self._host, self._port = parts.scheme, parts.hostname, parts.port
        self._prefix = parts.path.rstrip("/")
        self._headers = {"authorization": f"Bearer {api_key}"} if api_key else {}
        self._idle: list[http.client.HTTPConnection] = []
        self._is_closed = False

    def connect(self, timeout_s: float) -> http.client.HTTPConnection:
        """A connection that nobody else uses."""
        kind = http.client.HTTPSConnection if self._scheme == "https" else http.client.HTTPConnection
        return kind(self._host, self._port, timeout=timeout_s)

    def get(
        self, connection: http.client.HTTPConnection, path: str, headers: Mapping[str, str]
    ) -> http.client.HTTPResponse:
        """One GET on a connection, up to the headers of its answer."""
        connection.request("GET", self._prefix + path, headers={**self._headers, **headers})
        return connection.getresponse()

    def post(self, path: str, body: bytes, *, timeout_s: float) -> _Answer:
        """A POST of JSON. Raises OSError or http.client.HTTPException when there is no answer."""
        return self.ask("POST", path, body, timeout_s=timeout_s, headers={"content-type": "application/json"})

    def ask(
        self, method: str, path: str, body: bytes | None, *, timeout_s: float, headers: Mapping[str, str]
    ) -> _Answer:
        """A request and its whole answer. Raises OSError or http.client.HTTPException when there is none."""
        # Taking from and adding to a list is atomic, so threads never share a connection.
        kept: http.client.HTTPConnection | None = None
        with suppress(IndexError):
            kept = self._idle.pop()
        for connection in (kept, self.connect(timeout_s)):
            if connection is None:
                continue
            try:
                if connection.sock is not None:
                    connection.sock.settimeout(timeout_s)
                connection.request(method, self._prefix + path, body=body, headers={**self._headers, **headers})
                response = connection.getresponse()
                content = response.read()
            except (OSError, http.client.HTTPException) as error:
                connection.close()
                # The service may have closed an idle connection at this moment.
                if connection is kept and not isinstance(error, TimeoutError):
                    continue
                raise
            self._keep(connection)
            try:
                parsed: object = json.loads(content) if content else None
            except ValueError:
                parsed = None
            return _Answer(response.status, parsed, response.headers["retry-after"], response.headers["etag"])
        raise AssertionError("a request ends with an answer or an exception")

    def _keep(self, connection: http.client.HTTPConnection) -> None:
        self._idle.append(connection)
        if self._is_closed:
            self.close()

    def close(self) -> None:
        """End the connections that are kept, and keep no more."""
        self._is_closed = True
        with suppress(IndexError):
            while True:
                self._idle.pop().close()


def _retry_delay_s(attempt: int, retry_after: str | None) -> float:
    """What the service said, else longer after each failure, never all clients at once; `attempt` counts from 0."""
    said = float(retry_after) if retry_after and re.fullmatch(r"[0-9]{1,6}", retry_after) else 0.0
    return min(said or 0.5 * 2.0 ** min(attempt, 10), 60.0) * (1 + random.random() / 2)


class _DefinitionFollower:
    """A thread that keeps definitions up to date: follows the stream, or asks again and again; comes back after every failure."""

    # The service sends a sign of life every 15 s; three missing ones mean that the connection is dead.
    _SILENCE_S = 45.0

    def __init__(
        self,
        endpoint: _Endpoint,
        *,
        poll_interval_s: float | None,
        timeout_s: float,
        on_definitions: Callable[[Iterable[JsonObject], Iterable[str] | None], None],
        on_error: _OnError,
    ) -> None:
        self._endpoint = endpoint
        self._poll_interval_s = poll_interval_s
        self._timeout_s = timeout_s
        self._on_definitions = on_definitions
        self._on_error = on_error
        self._etag = ""
        self._attempt = 0
        self._stop = threading.Event()
        self._socket: socket.socket | None = None
        self._thread = threading.Thread(target=self._run, name="trialstream-definitions", daemon=True)

    def start(self) -> None:
        """Begin to follow."""
        self._thread.start()

    def take(self, news: JsonObject) -> None:
        """Take over the whole state, or with `from` and `removed` what is different since then."""
        if "from" in news and news["from"] != self._etag:
            self._etag = ""
            raise ValueError("a change of the definitions was missed")
        self._on_definitions(news["experiments"], news.get("removed"))
        self._etag = news["etag"]

    def close(self) -> None:
        """End the stream and wait for the thread."""
        self._stop.set()
        stream = self._socket
        if stream is not None:
            # Wakes the thread up, which waits for the next line.
            with suppress(OSError):
                stream.shutdown(socket.SHUT_RDWR)
        if self._thread.is_alive() and self._thread is not threading.current_thread():
            self._thread.join(timeout=5)

    def _run(self) -> None:
        while not self._stop.is_set():
            retry_after: str | None = None
            try:
                if self._poll_interval_s is not None:
                    self._poll()
                    self._stop.wait(self._poll_interval_s)
                    continue
                self._follow()
            except Exception as error:  # whatever happens, definitions are followed again
                retry_after = error.retry_after if isinstance(error, _RefusedError) else None
                if not self._stop.is_set():
                    self._on_error("definitions", error)
            self._stop.wait(_retry_delay_s(self._attempt, retry_after))
            self._attempt += 1

    def _known_state(self) -> dict[str, str]:
        return {"if-none-match": f'"{self._etag}"'} if self._etag else {}

    def _poll(self) -> None:
        answer = self._endpoint.ask(
            "GET", "/v1/definitions", None, timeout_s=self._timeout_s, headers=self._known_state()
        )
        if answer.status == 200 and isinstance(answer.body, Mapping):
            self.take(answer.body)
        elif answer.status != 304:
            raise _RefusedError("definitions were", answer.status, answer.body, answer.retry_after)
        self._attempt = 0

    def _follow(self) -> None:
        connection = self._endpoint.connect(self._timeout_s)
        try:
            connection.connect()
            self._socket = connection.sock
            response = self._endpoint.get(connection, "/v1/definitions/stream", self._known_state())
            if response.status != 200:
                body: object = None
                with suppress(ValueError):
                    body = json.loads(response.read())
                raise _RefusedError("definitions were", response.status, body, response.headers["retry-after"])
            self._attempt = 0
            if self._socket is not None:
                self._socket.settimeout(self._SILENCE_S)
            while not self._stop.is_set():
                line = response.readline()
                if not line:
                    return
                if line.startswith(b"data: "):
                    self.take(json.loads(line[6:]))
        finally:
            self._socket = None
            connection.close()


class _EventQueue:
    """Sends events in batches from a thread of its own; an event leaves when the service has it, or refuses it for good."""

    # The service itself waits up to ten seconds for Kafka.
    _DELIVERY_TIMEOUT_S = 15.0
    # Far below the service's limit of 2 MiB.
    _MAX_BATCH_BYTES = 512 * 1024

    def __init__(
        self,
        endpoint: _Endpoint,
        *,
        flush_interval_s: float,
        max_batch_events: int,
        max_queued_events: int,
        on_error: _OnError,
    ) -> None:
        self._endpoint = endpoint
        self._flush_interval_s = flush_interval_s
        self._max_batch_events = max_batch_events
        self._max_queued_events = max_queued_events
        self._on_error = on_error
        # By id, in the order of arrival: the JSON text of each event.
        self._waiting: OrderedDict[str, bytes] = OrderedDict()
        self._lock = threading.Lock()
        self._sending = threading.Lock()
        self._wake = threading.Event()
        self._attempt = 0
        self._is_closed = False
        self._thread: threading.Thread | None = None

    def add(self, event_id: str, event: JsonObject) -> bool:
        """Queue an event; False, and an error, when too many wait. Raises ValueError or TypeError for what is not JSON."""
        text = json.dumps(event, ensure_ascii=False, allow_nan=False, separators=(",", ":")).encode()
        with self._lock:
            if self._is_closed:
                raise ValueError("the client is closed")
            is_full = len(self._waiting) >= self._max_queued_events
            if not is_full:
                self._waiting[event_id] = text
                if self._thread is None:
                    self._thread = threading.Thread(target=self._run, name="trialstream-events", daemon=True)
                    self._thread.start()
                if len(self._waiting) == self._max_batch_events and self._attempt == 0:
                    self._wake.set()
        if is_full:
            self._on_error("event", RuntimeError(f"{self._max_queued_events} events wait already; one was given up"))
        return not is_full

    def flush(self) -> int:
        """Send what waits now; the number of events that could not be delivered yet."""
        self._send_all()
        return len(self._waiting)

    def close(self) -> None:
        """Send what waits, and say how much could not be delivered."""
        self.flush()
        with self._lock:
            self._is_closed = True
            left = len(self._waiting)
        self._wake.set()
        self._endpoint.close()
        if left > 0:
            self._on_error("event", RuntimeError(f"{left} events are not delivered"))

    def _run(self) -> None:
        pause = self._flush_interval_s
        while True:
            self._wake.wait(pause)
            self._wake.clear()
            if self._is_closed:
                return
            pause = self._send_all()

    def _take_batch(self, max_events: int) -> dict[str, bytes]:
        batch: dict[str, bytes] = {}
        size = 0
        with self._lock:
            for event_id, text in self._waiting.items():
                size += len(text)
                if len(batch) == max_events or (batch and size > self._MAX_BATCH_BYTES):
                    break
                batch[event_id] = text
        return batch

    def _send_all(self) -> float:
        """Send until nothing waits or an attempt fails; returns the pause before the next attempt in seconds."""
        with self._sending:
            max_events = self._max_batch_events
            while batch := self._take_batch(max_events):
                retry_after: str | None = None
                settled = False
                try:
                    body = b'{"events":[' + b",".join(batch.values()) + b"]}"
                    answer = self._endpoint.post("/v1/events", body, timeout_s=self._DELIVERY_TIMEOUT_S)
                    if answer.status == 413 and len(batch) > 1:
                        max_events = len(batch) // 2
                        continue
                    # 207 and 400 name what is refused for good, and 413 stays as it is. Everything else may pass.
                    settled = answer.status in (202, 207, 400, 413)
                    retry_after = answer.retry_after
                    if answer.status != 202:
                        raise _RefusedError("events were", answer.status, _first_refusal(answer.body), retry_after)
                except (OSError, http.client.HTTPException, _RefusedError) as error:
                    self._on_error("event", error)
                if not settled:
                    self._attempt += 1
                    return _retry_delay_s(self._attempt - 1, retry_after)
                self._attempt = 0
                with self._lock:
                    for event_id in batch:
                        self._waiting.pop(event_id, None)
            return self._flush_interval_s


def _first_refusal(body: object) -> object:
    results = body.get("results") if isinstance(body, Mapping) else None
    for result in results or ():
        if isinstance(result, Mapping) and result.get("status") == "rejected":
            return result
    return body


# The client


def _log_error(kind: ErrorKind, error: Exception) -> None:
    logger.warning("%s: %s", kind, error)


class TrialstreamClient:
    """Decisions, here or by the service, and exposures and events. It holds connections and threads until it is closed."""

    def __init__(
        self,
        *,
        assignment_url: str | None = None,
        api_key: str | None = None,
        mode: Literal["local", "remote"] = "local",
        definitions: JsonObject | None = None,
        poll_interval_s: float | None = None,
        timeout_s: float = 3.0,
        sticky_store: StickyStore | None = None,
        ingestion_url: str | None = None,
        ingestion_api_key: str | None = None,
        flush_interval_s: float = 1.0,
        max_batch_events: int = 500,
        max_queued_events: int = 100_000,
        now: Callable[[], float] = time.time,
        on_error: _OnError = _log_error,
    ) -> None:
        """Create a client.

        `assignment_url` and `ingestion_url` are base addresses; `api_key` has the scope `assign`, and `ingest` too unless there is an
        `ingestion_api_key`. `definitions` is a payload of `GET /v1/definitions` to begin with. With `poll_interval_s` definitions are
        asked for that often instead of streamed. `timeout_s` is the longest wait for one request. Events wait at most
        `flush_interval_s` for others; at most `max_queued_events` wait while the service is away, and more are given up and reported.
        """
        self._now = now
        self._on_error = on_error
        self._timeout_s = timeout_s
        self._is_remote = mode == "remote"
        self._assignment = _Endpoint(assignment_url, api_key) if assignment_url else None
        self._local = _LocalEvaluation(sticky_store or MemoryStore(), now, on_error)
        self._ready = threading.Event()
        self._events: _EventQueue | None = None
        if ingestion_url:
            self._events = _EventQueue(
                _Endpoint(ingestion_url, ingestion_api_key or api_key),
                flush_interval_s=flush_interval_s,
                max_batch_events=max_batch_events,
                max_queued_events=max_queued_events,
                on_error=on_error,
            )
        self._exposed: set[str] = set()
        self._exposed_day = ""
        self._exposing = threading.Lock()
        self._follower: _DefinitionFollower | None = None
        if self._is_remote:
            self._ready.set()
        elif self._assignment is not None:
            self._follower = _DefinitionFollower(
                self._assignment,
                poll_interval_s=poll_interval_s,
                timeout_s=timeout_s,
                on_definitions=self._take,
                on_error=on_error,
            )
            if definitions is not None:
                self._follower.take(definitions)
            self._follower.start()
        elif definitions is not None:
            self._take(definitions["experiments"], None)
        # Scripts that end without closing deliver what they have.
        atexit.register(self.close)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_exception: object) -> None:
        self.close()

    def ready(self, timeout_s: float = 5.0) -> bool:
        """Wait until definitions are here; False when that takes longer. At once in remote mode."""
        return self._ready.wait(timeout_s)

    def evaluate(self, experiment_key: str, unit: Unit) -> Decision:
        """Decide here and now, without any request."""
        if self._is_remote or not self._ready.is_set():
            return Decision(experiment_key, unit, "unavailable")
        return self._local.evaluate(experiment_key, unit)[0]

    def assign(self, experiment_key: str, unit: Unit) -> Decision:
        """Decide here, and ask the service for what only it can answer."""
        return self.assign_all(unit, [experiment_key])[experiment_key]

    def assign_all(self, unit: Unit, experiment_keys: Sequence[str] | None = None) -> dict[str, Decision]:
        """As `assign` for several experiments, or all that enroll or deliver to the unit type, with one request at most."""
        decisions: dict[str, Decision] = {}
        open_keys = None if experiment_keys is None else list(experiment_keys)
        # Until definitions are here, the service is asked: that is quicker than to wait for them.
        if self._ready.is_set() and not self._is_remote:
            asked, open_keys = (self._local.keys_of(unit.unit_type) if open_keys is None else open_keys), []
            for key in asked:
                decisions[key], is_final = self._local.evaluate(key, unit)
                if not is_final:
                    open_keys.append(key)
        if open_keys == []:
            return decisions
        if self._assignment is not None:
            try:
                decisions.update(self._ask(self._assignment, unit, open_keys))
            except (OSError, http.client.HTTPException, _RefusedError, KeyError, TypeError, ValueError) as error:
                self._on_error("assignment", error)
        for key in open_keys or ():
            decisions.setdefault(key, Decision(key, unit, "unavailable"))
        return decisions

    def expose(self, decision: Decision, context: JsonObject | None = None) -> bool:
        """Say that the unit really met the variant. Returns whether an exposure was queued.

        It is not when it was today already, and not when the unit does not get the variant that it is analyzed by: one exposure per
        experiment, unit, variant and UTC day, under an id that every client derives alike. `context` is kept for segments.
        """
        reference = _reference(decision)
        if reference is None:
            return False
        timestamp = self._timestamp()
        day, unit = timestamp[:10], decision.unit
        # The unit id comes last, because it is the only part that may hold a slash.
        name = f"exposure/{decision.experiment_id}/{decision.variant_id}/{day}/{unit.unit_type}/{unit.unit_id}"
        with self._exposing:
            if day != self._exposed_day or len(self._exposed) >= 1_000_000:
                self._exposed.clear()
            self._exposed_day = day
            if name in self._exposed:
                return False
            event = _event_of("exposure", unit, [reference], id_of_name(name), timestamp, context=context)
            if not self._queue().add(event["event_id"], event):
                return False
            self._exposed.add(name)
        return True

    def track(
        self,
        event_type: str,
        unit: Unit,
        *,
        decisions: Iterable[Decision] = (),
        metrics: Mapping[str, float] | None = None,
        payload: object = None,
        context: JsonObject | None = None,
        event_id: str | None = None,
        timestamp: datetime | None = None,
    ) -> str:
        """Queue an event and return its id.

        `decisions` are those that the event belongs to; only assigned ones count. With an `event_id` of your own give its `timestamp`
        (with a zone) too: a repetition is recognized by both. Raises ValueError or TypeError for what is not an event.
        """
        if (event_id is None) != (timestamp is None) and timestamp is None:
            raise ValueError("an event_id needs its timestamp: a repetition is recognized by the id and the day")
        if timestamp is not None and timestamp.tzinfo is None:
            raise ValueError("the timestamp needs a zone, such as datetime.now(UTC)")
        chosen = event_id or str(uuid.uuid4())
        references = [reference for decision in decisions if (reference := _reference(decision)) is not None]
        event = _event_of(
            event_type,
            unit,
            references,
            chosen,
            self._timestamp(timestamp),
            context=context,
            metrics=metrics,
            payload=payload,
        )
        self._queue().add(chosen, event)
        return chosen

    def flush(self) -> int:
        """Send what waits now; the number of events that could not be delivered yet."""
        return self._events.flush() if self._events else 0

    def close(self) -> None:
        """Send what waits, and end threads and connections."""
        atexit.unregister(self.close)
        if self._follower is not None:
            self._follower.close()
        if self._events is not None:
            self._events.close()
        if self._assignment is not None:
            self._assignment.close()

    def _take(self, definitions: Iterable[JsonObject], removed: Iterable[str] | None) -> None:
        self._local.take(definitions, removed)
        self._ready.set()

    def _queue(self) -> _EventQueue:
        if self._events is None:
            raise ValueError("exposures and events need ingestion_url")
        return self._events

    def _timestamp(self, moment: datetime | None = None) -> str:
        moment = moment or datetime.fromtimestamp(self._now(), UTC)
        return moment.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")

    def _ask(self, endpoint: _Endpoint, unit: Unit, keys: Sequence[str] | None) -> dict[str, Decision]:
        request: dict[str, object] = {"unit_type": unit.unit_type, "unit_id": unit.unit_id, "context": unit.context}
        if keys is not None:
            request["requested_experiments"] = keys
        body = json.dumps(request, allow_nan=False).encode()
        answer = endpoint.post("/v1/assignments", body, timeout_s=self._timeout_s)
        if answer.status != 200 or not isinstance(answer.body, Mapping):
            error = _RefusedError("assignments were", answer.status, answer.body, answer.retry_after)
            position = re.search(r"\d+", str(error.body.get("field", "")))
            if error.body.get("code") != "unknown-experiment" or keys is None or position is None:
                raise error
            # One unknown experiment must not keep the others from being answered.
            unknown = keys[int(position[0])]
            others = [key for key in keys if key != unknown]
            return {
                **(self._ask(endpoint, unit, others) if others else {}),
                unknown: Decision(unknown, unit, "unknown-experiment", origin="remote"),
            }
        decisions = {}
        for entry in [*answer.body["assignments"], *answer.body["not_assigned"]]:
            decision = self._read(entry, unit)
            decisions[decision.experiment_key] = decision
        return decisions

    def _read(self, entry: JsonObject, unit: Unit) -> Decision:
        variant_id, assigned, source = entry.get("variant_id"), entry.get("assigned_variant_id"), entry.get("source")
        if assigned and source:
            assignment = _Assignment(assigned, entry["hash_bucket"], source)
            self._local.remember(entry["experiment_id"], unit.unit_id, assignment, from_service=True)
        return Decision(
            entry["experiment_key"],
            unit,
            _public_reason(entry["reason"], source),
            experiment_id=entry["experiment_id"],
            variant_id=variant_id,
            variant_name=entry.get("variant_name"),
            config={"params": {}, **entry["config"]} if variant_id else None,
            assigned_variant_id=assigned,
            hash_bucket=entry.get("hash_bucket"),
            origin="remote",
        )


def _reference(decision: Decision) -> dict[str, str] | None:
    """Experiment and variant of a decision that counts: test units, and what is served to all, say nothing about variants."""
    if (
        decision.experiment_id is None
        or decision.variant_id is None
        or decision.variant_id != decision.assigned_variant_id
        or decision.reason != "assigned"
    ):
        return None
    return {"experiment_id": decision.experiment_id, "variant_id": decision.variant_id}


def _event_of(
    event_type: str,
    unit: Unit,
    references: Sequence[JsonObject],
    event_id: str,
    timestamp: str,
    **optional: object,
) -> dict[str, Any]:
    event: dict[str, Any] = {
        "event_id": event_id,
        "event_type": event_type,
        "unit_type": unit.unit_type,
        "unit_id": unit.unit_id,
        "experiments": references,
        "timestamp": timestamp,
    }
    event.update({name: value for name, value in optional.items() if value is not None})
    return event
