"""Safe mode: the daemon ended again and again, and systemd gave it up (StartLimitBurst of linekeep.service).

`python -m firmware.keeper.safe_mode` is what systemd then starts (linekeep-safe.service). It writes down why: how the
daemon ended, and the last that it said. The console shows it, and the page, which stays up, searches and plays. Nothing
is recorded. Whatever starts the daemon again ends safe mode, and what was written goes with it; the machine itself is
not restarted, for the next start would end the same way.
"""

import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path

import msgspec

from firmware.wire import SafeModeState

WRITTEN = Path("run/linekeep-safe/safe-mode.json")
UNIT = "linekeep.service"
OWN_UNIT = "linekeep-safe.service"
LAST_LINES = 15
REMEDY = (
    "Remove the cause (over SSH, which the page's System, Time and network switches on), then `linekeep box resume` or "
    "the page's button."
)


def read(root: Path) -> SafeModeState:
    try:
        return msgspec.json.decode((root / WRITTEN).read_bytes(), type=SafeModeState)
    except FileNotFoundError:
        return SafeModeState()


def reason(shown: dict[str, str]) -> str:
    """In a sentence, from what systemd shows of the unit."""
    code, status = shown.get("ExecMainCode", ""), shown.get("ExecMainStatus", "")
    how = {"1": f"with exit code {status}", "2": f"by signal {status}", "3": f"by signal {status}"}
    ended = how.get(code, "before it had begun")
    return f"The daemon ended {ended}, and again each time it was started. Nothing is recorded."


def said() -> list[str]:
    """The daemon's last words; systemd's own are left out."""
    return _printed(
        "journalctl",
        f"_SYSTEMD_UNIT={UNIT}",
        "--boot",
        f"--lines={LAST_LINES}",
        "--output=cat",
        "--no-pager",
        "--quiet",
    ).splitlines()


def main(root: Path = Path("/")) -> int:
    shown = dict(
        line.split("=", 1)
        for line in _printed("systemctl", "show", UNIT, "--property=Result,ExecMainCode,ExecMainStatus").splitlines()
    )
    now = datetime.now(UTC).isoformat(timespec="seconds").replace("+00:00", "Z")
    state = SafeModeState(on=True, reason=reason(shown), since_utc=now, said=said())
    path = root / WRITTEN
    new = path.with_suffix(".new")
    new.write_bytes(msgspec.json.encode(state))
    new.replace(path)
    last = list(dict.fromkeys(state.said))[-3:]
    words = (f"SAFE MODE since {state.since_utc}. {state.reason}", *last, REMEDY)
    path.with_name("console.txt").write_text("\n  ".join(words) + "\n", encoding="utf-8")
    sys.stderr.write(f"<2>Safe mode. {state.reason}\n")
    return 0


def _printed(*words: str) -> str:
    return subprocess.run(words, capture_output=True, text=True, errors="replace", check=True).stdout


if __name__ == "__main__":
    sys.exit(main())
