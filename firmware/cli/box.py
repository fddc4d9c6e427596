"""The box a command speaks to: its data folder, its daemon, its catalogue, its zone, and who is asking.

Changes go to the daemon over the control socket. Reading goes straight to the catalogue and the files, so that it
works with the daemon down. Who listens, exports or searches is entered in the journal first: by the daemon, or, with
the daemon down, in the spool that it chains when it starts.
"""

import contextlib
import os
import pwd
import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime, tzinfo
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from firmware.cli.errors import Exit, Failure

if TYPE_CHECKING:
    from firmware.wire import Client
    from recorder.catalogue import Catalogue
    from recorder.model import Recording

SHORTEST_PREFIX = 6
_EXITS = {"not_found": Exit.NOT_FOUND, "refused": Exit.REFUSED, "not_simulated": Exit.REFUSED, "full": Exit.DATA}


def data_folder(named: str | None) -> Path:
    """`--data`, else $LINEKEEP_DATA, else `var` in the project's folder."""
    chosen = named or os.environ.get("LINEKEEP_DATA")
    return Path(chosen).absolute() if chosen else Path(__file__).resolve().parents[2] / "var"


def actor() -> dict[str, str]:
    """Who is asking, as the journal has it: the operating system's user."""
    try:
        name = pwd.getpwuid(os.getuid()).pw_name
    except KeyError:
        name = f"uid {os.getuid()}"
    return {"kind": "console", "name": name}


def require_line(client: "Client", line: int) -> None:
    """Fails before anything is entered in the journal for a line that is not there."""
    if line not in (known["line"] for known in client.call("lines")["lines"]):
        raise Failure(Exit.NOT_FOUND, f"There is no line {line}.", "`linekeep lines` shows them.")


@contextlib.contextmanager
def recorder_failures() -> Iterator[None]:
    """What the recorder's rooms raise, as failures. Their messages end with the remedy."""
    from recorder import errors

    try:
        yield
    except errors.NotFoundError as error:
        raise Failure(Exit.NOT_FOUND, str(error), "") from error
    except (errors.RefusedError, errors.LockedError) as error:
        raise Failure(Exit.REFUSED, str(error), "") from error
    except errors.RecorderError as error:
        raise Failure(Exit.DATA, str(error), "") from error


@dataclass(frozen=True)
class Box:
    data: Path

    # The daemon ------------------------------------------------------------------------------------------------------

    @contextlib.contextmanager
    def client(self) -> Iterator["Client"]:
        """A connection to the daemon; what it answers, and its absence, become failures with an exit code."""
        from firmware import wire

        with self.daemon_failures(), wire.Client.connect(self.data) as client:
            yield client

    @contextlib.contextmanager
    def daemon_failures(self) -> Iterator[None]:
        """What a client of the daemon raises, as failures."""
        from firmware import wire

        try:
            yield
        except wire.DaemonError as error:
            raise Failure(_EXITS.get(error.code, Exit.NO), error.message, error.remedy) from error
        except wire.DaemonUnreachableError as error:
            raise Failure(Exit.NO_DAEMON, str(error), f"--data names another box; this one is {self.data}.") from error
        except wire.WireError as error:
            raise Failure(Exit.NO, str(error), "Is the daemon of the same version as this command?") from error

    def call(self, do: str, **fields: Any) -> dict[str, Any]:
        with self.client() as client:
            return client.call(do, **fields)

    def operation(self, act: str, handle: str | None, detail: dict[str, Any]) -> None:
        """Enters in the journal what is about to be done. Returns when that is durable, here or in the spool."""
        fields: dict[str, Any] = {"act": act, "handle": handle, "detail": detail, "actor": actor()}
        try:
            self.call("operation", **fields)
        except Failure as failure:
            if failure.exit_code is not Exit.NO_DAEMON:
                raise
            from recorder import spool

            try:
                spool.keep(self.data / "web" / "spool", time.time_ns(), **fields)
            except spool.SpoolError as error:
                raise Failure(Exit.DATA, str(error), "Or call this as a user who may write there.") from error

    # Files and catalogue ---------------------------------------------------------------------------------------------

    @cached_property
    def _named_zone(self) -> tuple[str, tzinfo]:
        from firmware import config, config_file

        try:
            box = config_file.load(self.data / "linekeep.toml").box
        except config.ConfigError:
            # A configuration that cannot be read keeps nobody from finding a recording; `config check` names the fault.
            box = config.BoxConfig()
        return config.box_zone(box)

    @property
    def zone(self) -> tzinfo:
        """The box's zone; the system's where the configuration names none."""
        return self._named_zone[1]

    @property
    def zone_name(self) -> str:
        return self._named_zone[0]

    def now(self) -> datetime:
        return datetime.now(self.zone)

    def require_folder(self) -> None:
        if not self.data.is_dir():
            remedy = "Name the box's data folder with --data or $LINEKEEP_DATA; `make run` makes one."
            raise Failure(Exit.NOT_FOUND, f"There is no data folder at {self.data}.", remedy)

    @contextlib.contextmanager
    def catalogue(self) -> Iterator["Catalogue"]:
        """The catalogue, for reading; whatever this package raises becomes a failure with an exit code."""
        from recorder.catalogue import Catalogue

        self.require_folder()
        with recorder_failures():
            catalogue = Catalogue.open_readonly(self.data)
            try:
                yield catalogue
            finally:
                catalogue.close()

    def resolve(self, catalogue: "Catalogue", named: str) -> "Recording":
        """The recording whose handle begins so."""
        prefix = named.strip().lower()
        if len(prefix) < SHORTEST_PREFIX or len(prefix) > 32 or prefix.strip("0123456789abcdef"):
            raise Failure(
                Exit.USAGE,
                f"{named!r} is not a handle: it has {SHORTEST_PREFIX} to 32 digits of 0-9 and a-f.",
                "`linekeep search` shows handles.",
            )
        found = catalogue.begin_with(prefix, 3)
        if not found:
            raise Failure(
                Exit.NOT_FOUND, f"No recording has a handle that begins with {prefix}.", "`linekeep search` finds them."
            )
        if len(found) > 1:
            raise Failure(Exit.USAGE, f"More than one handle begins with {prefix}.", "Give more of its digits.")
        return found[0]

    def resolve_all(self, catalogue: "Catalogue", named: Iterable[str]) -> list["Recording"]:
        """The recordings so named, each once, in the order given."""
        rows = {row.handle: row for row in (self.resolve(catalogue, name) for name in named)}
        return list(rows.values())
