"""Operational metrics of the inference process as Prometheus text; names as in the TypeScript processes."""

import threading
from collections.abc import Sequence

SERVICE = "planner-inference"
SECONDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0)
SIZES = (1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 64.0, 128.0, 256.0)
CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"


def _escape(value: str) -> str:
    return value.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")


def _labels(names: Sequence[str], values: Sequence[str], *more: tuple[str, str]) -> str:
    pairs = [*zip(names, values, strict=True), *more, ("service", SERVICE)]
    return "{" + ",".join(f'{name}="{_escape(value)}"' for name, value in pairs) + "}"


class Counter:
    """Only ever grows."""

    kind = "counter"

    def __init__(self, name: str, help_text: str, labels: Sequence[str] = ()) -> None:
        self.name, self.help_text, self.labels = name, help_text, tuple(labels)
        self._values: dict[tuple[str, ...], float] = {} if labels else {(): 0.0}
        self._lock = threading.Lock()

    def add(self, amount: float, *values: str) -> None:
        """Adds to the series with these label values."""
        with self._lock:
            self._values[values] = self._values.get(values, 0.0) + amount

    def samples(self) -> list[str]:
        """Its lines."""
        with self._lock:
            return [f"{self.name}{_labels(self.labels, values)} {value:g}" for values, value in self._values.items()]


class Gauge(Counter):
    """A state."""

    kind = "gauge"

    def set(self, amount: float, *values: str) -> None:
        """Replaces the value."""
        with self._lock:
            self._values[values] = amount


class Histogram:
    """Counts by upper bound, as Prometheus wants them: each bin holds all that is not larger."""

    kind = "histogram"

    def __init__(self, name: str, help_text: str, bounds: Sequence[float], labels: Sequence[str] = ()) -> None:
        self.name, self.help_text, self.bounds, self.labels = name, help_text, tuple(bounds), tuple(labels)
        self._series: dict[tuple[str, ...], tuple[list[int], float]] = {}
        self._lock = threading.Lock()

    def observe(self, value: float, *values: str) -> None:
        """Counts one value."""
        with self._lock:
            counts, total = self._series.get(values, ([0] * (len(self.bounds) + 1), 0.0))
            for index, bound in enumerate((*self.bounds, float("inf"))):
                counts[index] += value <= bound
            self._series[values] = (counts, total + value)

    def samples(self) -> list[str]:
        """Its lines."""
        with self._lock:
            lines = []
            for values, (counts, total) in self._series.items():
                for bound, count in zip((*map("{:g}".format, self.bounds), "+Inf"), counts, strict=True):
                    lines.append(f"{self.name}_bucket{_labels(self.labels, values, ('le', bound))} {count}")
                labels = _labels(self.labels, values)
                lines += [f"{self.name}_sum{labels} {total:g}", f"{self.name}_count{labels} {counts[-1]}"]
            return lines


class ServingMetrics:
    """All metrics of the process."""

    def __init__(self) -> None:
        self.plans = Counter("inference_plans_total", "Planning requests by model and outcome", ["model", "outcome"])
        self.seconds = Histogram(
            "inference_plan_seconds", "From the arrival of a request to its answer", SECONDS, ["model"]
        )
        self.batch_size = Histogram("inference_batch_size", "Requests that went through the model together", SIZES)
        self.waiting = Gauge("inference_waiting_requests", "Requests that wait for their batch")
        self.tokens = Counter("inference_tokens_total", "Tokens by model and direction", ["model", "direction"])
        self.loaded = Gauge("inference_loaded_models", "Model versions in memory")
        self.loads = Counter("inference_model_loads_total", "Loads of model versions by outcome", ["outcome"])

    def expose(self) -> str:
        """The text of all metrics."""
        lines: list[str] = []
        for metric in vars(self).values():
            lines += [f"# HELP {metric.name} {metric.help_text}", f"# TYPE {metric.name} {metric.kind}"]
            lines += metric.samples()
        return "\n".join(lines) + "\n"
