"""A worker's log: one line for each event, for people or as JSON, with its context and without secrets.

A failed attempt is one line with its cause. Only a fault of the program gets a stack trace. A refusal, a block or a
server that does not answer gets a text.
"""

from __future__ import annotations

import json
import logging
import os
import sys
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Final
from weakref import WeakSet

from temporalio import activity, workflow
from temporalio.exceptions import ApplicationError, TemporalError
from temporalio.runtime import LogForwardingConfig, LoggingConfig, TelemetryFilter
from temporalio.service import RPCError

from etcd_handoff.errors import ConfigError, HandoffError
from etcd_handoff.secret_words import remember, without_secrets
from etcd_handoff.temporal.log_context import running
from etcd_handoff.worker_options import LOG_FORMAT_VARIABLE, LOG_FORMATS

if TYPE_CHECKING:
    from collections.abc import Mapping

CONTEXT: Final = "handoff_context"
"""Attribute of a log record: its context."""
CORE: Final = "temporalio.core"
"""Logger of the SDK's native part."""
SHOWN: Final = ("cluster", "member", "operation", "step", "attempt", "workflow_id", "run_id")
"""The order on the console. JSON has the same names."""
OF_A_FAILED_ATTEMPT: Final = "ActivityFailure"
"""How the SDK marks its own record of an attempt that has failed (temporalio `worker/_activity.py`)."""

_LOGGED: Final[WeakSet[BaseException]] = WeakSet()
"""Failures that were logged already."""
log = logging.getLogger(__name__)


def chosen_format(given: str | None) -> str:
    """Return the format that the option or the environment names.

    Raises:
        ConfigError: There is no such format.
    """
    name = given or os.environ.get(LOG_FORMAT_VARIABLE) or LOG_FORMATS[0]
    if name not in LOG_FORMATS:
        msg = f"${LOG_FORMAT_VARIABLE}: {name!r} is no format of the log; give one of {', '.join(LOG_FORMATS)}"
        raise ConfigError(msg)
    return name


def configure(level: str, log_format: str) -> None:
    """Let this process log to standard error, and nowhere else."""
    remember(os.environ.get("TEMPORAL_API_KEY", ""))
    handler = logging.StreamHandler(sys.stderr)
    handler.addFilter(_note_context)
    handler.setFormatter(JsonLines() if log_format == "json" else ConsoleLines())
    logging.basicConfig(level=level, handlers=[handler])
    logging.captureWarnings(capture=log_format == "json")
    # What they would append to each message is in separate fields.
    activity.logger.activity_info_on_message = False
    workflow.logger.workflow_info_on_message = False
    base = activity.logger.base_logger
    if _is_news not in base.filters:
        base.addFilter(_is_news)


def core_logging(log_format: str) -> LoggingConfig:
    """Return how the SDK's native part logs: directly, or through our lines, so that all of them are JSON."""
    if log_format != "json":
        return LoggingConfig.default
    forwarding = LogForwardingConfig(logging.getLogger(CORE), append_target_to_name=False)
    return LoggingConfig(TelemetryFilter(core_level="WARN", other_level="ERROR"), forwarding=forwarding)


def log_failure(step: str, error: Exception, failure: BaseException) -> None:
    """Log the one line of an attempt that has failed.

    Args:
        step: The activity.
        error: What was raised.
        failure: What Temporal records of it, which the SDK would log as well.
    """
    _LOGGED.add(failure)
    text = failure.message if isinstance(failure, ApplicationError) else str(failure)
    activity.logger.warning("%s failed: %s", step, text, exc_info=error if is_bug(error) else None)


def is_bug(error: BaseException | None) -> bool:
    """Return whether the failure is unexpected, so that its trace is worth more than its text."""
    return error is not None and not isinstance(error, HandoffError | TemporalError | RPCError | OSError)


def _note_context(record: logging.LogRecord) -> bool:
    """Note the line's context where it is written. Always return True."""
    record.__dict__[CONTEXT] = running()
    return True


def _is_news(record: logging.LogRecord) -> bool:
    """Whether a record of the SDK is more than the repetition of a line of ours."""
    repeats = record.__dict__.get("__temporal_error_identifier") == OF_A_FAILED_ATTEMPT
    return not (repeats and record.exc_info and record.exc_info[1] in _LOGGED)


def _message(record: logging.LogRecord) -> str:
    """Return the text of a record, with that of its exception if no trace is shown."""
    error = record.exc_info[1] if record.exc_info else None
    if error is None or is_bug(error):
        return record.getMessage()
    kind = error.type if isinstance(error, ApplicationError) and error.type else type(error).__name__
    words = error.message if isinstance(error, ApplicationError) else str(error)
    return f"{record.getMessage()}: {kind}: {words}"


class _Lines(logging.Formatter):
    """The common part of both formats."""

    def trace(self, record: logging.LogRecord) -> str:
        """Return the stack trace of a record, or "" if it has none to show."""
        if record.exc_info and is_bug(record.exc_info[1]):
            return self.formatException(record.exc_info)
        return ""

    @staticmethod
    def about(record: logging.LogRecord) -> Mapping[str, Any]:
        """Return the record's context, field by field. Empty ones are left out."""
        fields: Mapping[str, Any] = record.__dict__.get(CONTEXT) or {}
        return {name: fields[name] for name in SHOWN if fields.get(name)}


class ConsoleLines(_Lines):
    """Time, level, logger, text, and the context in brackets."""

    def format(self, record: logging.LogRecord) -> str:
        """Return the line, and below it the trace if there is one."""
        about = " ".join(f"{name}={value}" for name, value in self.about(record).items())
        head = f"{self.formatTime(record)} {record.levelname} {record.name}: {_message(record)}"
        lines = [f"{head} [{about}]" if about else head, self.trace(record)]
        return without_secrets("\n".join(filter(None, lines)))


class JsonLines(_Lines):
    """One JSON object per line."""

    def format(self, record: logging.LogRecord) -> str:
        """Return the object: `time`, `level`, `logger`, `message`, the context, and `stack` if there is one."""
        fields: dict[str, Any] = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname,
            "logger": record.name,
            "message": without_secrets(_message(record)),
            **self.about(record),
        }
        if stack := self.trace(record):
            fields["stack"] = without_secrets(stack)
        return json.dumps(fields, ensure_ascii=False)


def say(text: str, log_format: str = LOG_FORMATS[0], level: int = logging.INFO) -> None:
    """Report how the process begins and ends, at once, also into a pipe.

    Args:
        text: One line, or several where several things are wrong.
        log_format: One of `LOG_FORMATS`.
        level: From errors on it goes to standard error, else to standard output.
    """
    stream = sys.stderr if level >= logging.ERROR else sys.stdout
    if log_format == "json":
        named = {"levelno": level, "levelname": logging.getLevelName(level), "name": "worker", "msg": text}
        text = JsonLines().format(logging.makeLogRecord(named))
    stream.write(f"{text}\n")
    stream.flush()
