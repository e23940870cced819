"""Structured logs: one JSON object a line on stderr, with event, ids and numbers, never a text or a secret."""

import logging
import re
import sys
from collections.abc import MutableMapping
from typing import Any

import structlog

from tool_server.settings import Settings

SECRET = re.compile(
    r"(access_token=|Bearer |corpsecret=|key=|msg_signature=|nonce=|echostr=|[?&]code=)[^&\s\"']+"
)


def configure(settings: Settings, process: str) -> None:
    """Set up structlog and the standard library's loggers of this process."""
    level = getattr(logging, settings.log_level.upper())
    structlog.configure(
        processors=[
            structlog.contextvars.merge_contextvars,
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            structlog.processors.format_exc_info,
            lambda _logger, _method, event: {"process": process, **event},
            _redact,
            structlog.processors.JSONRenderer(ensure_ascii=False),
        ],
        wrapper_class=structlog.make_filtering_bound_logger(level),
        # One write a line: several processes share a log, and a line and its end must not come apart.
        logger_factory=structlog.WriteLoggerFactory(sys.stderr),
        cache_logger_on_first_use=False,
    )
    root = logging.getLogger()
    root.handlers = [_Bridge()]
    root.setLevel(max(level, logging.WARNING))


def _redact(_logger: Any, _method: str, event: MutableMapping[str, Any]) -> dict[str, Any]:
    return {
        key: SECRET.sub(r"\1…", value) if isinstance(value, str) else value
        for key, value in event.items()
    }


class _Bridge(logging.Handler):
    """Sends what libraries log through structlog, so that every line has one shape."""

    def emit(self, record: logging.LogRecord) -> None:
        log = structlog.get_logger()
        emit = log.error if record.levelno >= logging.ERROR else log.warning
        emit("library", logger=record.name, message=record.getMessage(), exc_info=record.exc_info)
