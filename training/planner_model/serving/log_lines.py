"""Logs of the inference process: one JSON object a line, with the fields of the TypeScript processes, never a traceback."""

import json
import logging
import sys
from typing import Any

from planner_model.serving.exposition import SERVICE

FIELDS = "fields"


class LineFormatter(logging.Formatter):
    """Writes a record as one line; an exception becomes its kind and message."""

    def format(self, record: logging.LogRecord) -> str:
        """The line of a record."""
        entry: dict[str, Any] = {
            "level": record.levelname.lower().replace("warning", "warn"),
            "time": self.formatTime(record, "%Y-%m-%dT%H:%M:%S") + f".{int(record.msecs):03d}Z",
            "service": SERVICE,
            "msg": record.getMessage(),
            **getattr(record, FIELDS, {}),
        }
        if record.exc_info and record.exc_info[1] is not None:
            error = record.exc_info[1]
            entry["cause"] = f"{type(error).__name__}: {error}"
        return json.dumps(entry, ensure_ascii=False, default=str)


def open_log(level: str) -> logging.Logger:
    """Sends our lines and those of the HTTP server to standard output."""
    import time

    formatter = LineFormatter()
    formatter.converter = time.gmtime
    handler = logging.StreamHandler(sys.stdout)
    handler.setFormatter(formatter)
    log = logging.getLogger(SERVICE)
    for logger in (log, logging.getLogger("uvicorn.error")):
        logger.handlers = [handler]
        logger.propagate = False
        logger.setLevel(level.upper())
    return log


def write_line(log: logging.Logger, level: int, message: str, **fields: object) -> None:
    """Logs a message with fields of its own."""
    log.log(level, message, extra={FIELDS: fields})
