"""Where a service of ours logs: standard error, as the journal of systemd wants it."""

import logging
import os
import sys
from collections.abc import Iterator


def log_to_stderr() -> None:
    handler = logging.StreamHandler(sys.stderr)
    form = "%(name)s: %(message)s"
    handler.setFormatter(_Lines(form) if "JOURNAL_STREAM" in os.environ else logging.Formatter("%(levelname)s " + form))
    logging.basicConfig(level=logging.INFO, handlers=[handler])


class _Lines(logging.Formatter):
    """For the journal of systemd every line begins with its severity, as sd-daemon(3) says."""

    def format(self, record: logging.LogRecord) -> str:
        severity = {logging.DEBUG: 7, logging.INFO: 6, logging.WARNING: 4, logging.ERROR: 3}.get(record.levelno, 2)
        return "\n".join(self._prefixed(severity, super().format(record)))

    def _prefixed(self, severity: int, text: str) -> Iterator[str]:
        for line in text.splitlines():
            yield f"<{severity}>{line}"
