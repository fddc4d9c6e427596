"""`linekeep box`: time, network, host name, SSH, restart, encryption, factory reset. The keeper does it, the daemon
journals it; while the daemon is down (safe mode) the keeper is asked directly, and the spool takes the entry."""

import argparse
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from firmware.cli.box import Box, actor
from firmware.cli.errors import Exit, Failure
from firmware.cli.output import Cell, Output

if TYPE_CHECKING:
    from firmware.wire import BoxState, EncryptionState

KEEPER = Path("/run/linekeep-keeper")


def state(box: Box, out: Output, arguments: argparse.Namespace) -> int:
    import msgspec

    from firmware.wire import BoxState

    told = asked(box, "box.state")
    if out.json:
        out.document(told)
    else:
        out.pairs(_rows(msgspec.convert(told, BoxState)))
    return Exit.OK


def _rows(state: "BoxState") -> list[tuple[str, Cell]]:
    time, network, ssh = state.time, state.network, state.ssh
    rows: list[tuple[str, Cell]] = [
        ("version", f"{state.version} (development build)" if state.development else state.version),
        ("slot", state.slot),
        ("host name", state.name),
        ("zone", time.zone),
        ("clock", "synchronised" if time.synchronised else "not synchronised"),
        ("time servers", ", ".join(time.servers) or "those of the network"),
    ]
    if not state.managed:
        return [*rows[:1], *rows[2:5], ("settings", "of this machine's own system: it was not flashed")]
    way = "by DHCP" if network.mode == "dhcp" else "static"
    rows += [
        ("network card", f"{network.interface or 'none'}{'' if network.link else ' (no cable)'}"),
        (
            "addresses",
            f"{', '.join(network.addresses) or 'none'} ({way})",
        ),
        ("gateway", ", ".join(network.gateways)),
        ("name servers", ", ".join(network.dns)),
    ]
    if (trial := network.trial) is not None:
        rows.append(("on trial", f"{trial.seconds_left} s left; `linekeep box network confirm` keeps it"))
    keys = f", {ssh.keys} keys: {', '.join(ssh.comments)}" if ssh.keys else ""
    rows += [("SSH", ("on" if ssh.on else "off") + keys), ("SSH host key", ssh.fingerprint)]
    rows += [("encryption", _encryption(state.encryption))]
    if (last := state.last_order) is not None:
        what = {"encrypt": "encryption", "keep": "reset, recordings kept", "destroy": "reset, recordings destroyed"}
        done = " and ".join(last.by) or "done" if last.done else f"not done: {last.message}"
        rows.append((what[last.act], f"{last.utc} {done}"))
    rows += [("safe mode", state.safe_mode.reason)] if state.safe_mode.on else []
    return [*rows, *(("problem", problem) for problem in state.problems)]


def _encryption(state: "EncryptionState") -> str:
    means = {"tpm": "opened by the TPM", "usb": "opened by a USB stick", "boot": "opened by a key on the same disk"}
    if state.on:
        key = "recovery key made" if state.recovery_enrolled else "NO RECOVERY KEY: `linekeep box recovery-key`"
        return f"on, {means.get(state.means, '')}; {key}"
    return f"off; at the next start on, {means[state.ordered]}" if state.ordered else "off"


def time(box: Box, out: Output, arguments: argparse.Namespace) -> int:
    servers = [] if arguments.servers_of_network else arguments.server
    if arguments.zone is None and servers is None:
        raise Failure(Exit.USAGE, "Nothing is to be changed.", "Name --zone, --server or --servers-of-network.")
    return _done(out, "The time is set.", _call(box, "box.time", zone=arguments.zone, servers=servers))


def network_dhcp(box: Box, out: Output, arguments: argparse.Namespace) -> int:
    return _try(box, out, mode="dhcp", interface=arguments.interface, dns=arguments.dns)


def network_static(box: Box, out: Output, arguments: argparse.Namespace) -> int:
    return _try(
        box, out, mode="static", interface=arguments.interface, addresses=arguments.addresses,
        gateways=arguments.gateway, dns=arguments.dns,
    )  # fmt: skip


def _try(box: Box, out: Output, **fields: Any) -> int:
    answer = _call(box, "box.network", **fields)
    words = "The network is set so already."
    if answer["trial_s"]:
        words = f"On trial: it goes back by itself in {answer['trial_s']} s. `linekeep box network confirm` keeps it."
    return _done(out, words, answer)


def network_confirm(box: Box, out: Output, arguments: argparse.Namespace) -> int:
    return _done(out, "The network setting is kept.", _call(box, "box.network_confirm"))


def network_back(box: Box, out: Output, arguments: argparse.Namespace) -> int:
    return _done(out, "The former network setting acts again.", _call(box, "box.network_back"))


def name(box: Box, out: Output, arguments: argparse.Namespace) -> int:
    answer = _call(box, "box.name", name=arguments.name)
    words = f"The box is called {arguments.name.lower()}."
    if answer["certificate"]:
        words += " Its page has a new certificate with this name: compare the fingerprint with the one on the screen."
    return _done(out, words, answer)


def ssh(box: Box, out: Output, arguments: argparse.Namespace) -> int:
    forget = arguments.forget_keys
    keys = [line for path in arguments.key for line in _lines(path)] if arguments.key else [] if forget else None
    words = f"SSH is {arguments.state}{', and no key may sign in' if forget else ''}."
    return _done(out, words, _call(box, "box.ssh", on=arguments.state == "on", keys=keys))


def _lines(path: str) -> list[str]:
    lines = Path(path).read_text(encoding="utf-8", errors="replace").splitlines()
    return [line.strip() for line in lines if line.strip() and not line.lstrip().startswith("#")]


def restart(box: Box, out: Output, arguments: argparse.Namespace) -> int:
    return _go(box, out, arguments, "box.restart", "The box restarts")


def power_off(box: Box, out: Output, arguments: argparse.Namespace) -> int:
    return _go(box, out, arguments, "box.power_off", "The box switches itself off")


def encrypt(box: Box, out: Output, arguments: argparse.Namespace) -> int:
    answer = _call(box, "box.encrypt", means=arguments.means)
    later = (
        "The data partition is encrypted at the next start: `linekeep box restart`. Then `linekeep box recovery-key`."
    )
    return _done(out, later if answer["restart"] else "The data partition stays as it is.", answer)


def recovery_key(box: Box, out: Output, arguments: argparse.Namespace) -> int:
    answer = _call(box, "box.recovery_key")
    words = f"{answer['recovery_key']}\nWrite it down: it is kept nowhere. Any recovery key before it is void."
    return _done(out, words, answer)


def reset(box: Box, out: Output, arguments: argparse.Namespace) -> int:
    what = "everything on the box, recordings too," if arguments.recordings == "destroy" else "all but the recordings"
    return _go(
        box, out, arguments, "box.reset", f"The box restarts and {what} is gone", recordings=arguments.recordings
    )


def resume(box: Box, out: Output, arguments: argparse.Namespace) -> int:
    return _done(out, "The daemon is started again.", _call(box, "box.resume"))


def _go(box: Box, out: Output, arguments: argparse.Namespace, do: str, words: str, **fields: Any) -> int:
    if not arguments.yes:
        if not sys.stdin.isatty():
            raise Failure(Exit.USAGE, f"{words}: nothing is recorded meanwhile, so this asks first.", "Add --yes.")
        sys.stderr.write(f"{words}; calls in progress are sealed, nothing is recorded meanwhile. Go on? [y/N] ")
        sys.stderr.flush()
        if sys.stdin.readline().strip().lower() not in ("y", "yes"):
            out.remark("Nothing was done.")
            return Exit.NO
    return _done(out, f"{words}.", _call(box, do, **fields))


def _call(box: Box, do: str, **fields: Any) -> dict[str, Any]:
    given = {name: value for name, value in fields.items() if value is not None}
    return asked(box, do, actor=actor(), **given)


def asked(box: Box, do: str, **fields: Any) -> dict[str, Any]:
    try:
        return box.call(do, **fields)
    except Failure as failure:
        if failure.exit_code is not Exit.NO_DAEMON or not KEEPER.exists():
            raise
    if do == "box.state":
        return Box(KEEPER).call(do, **fields)
    from firmware.wire import entered

    with without_daemon(box, do, entered(fields)) as keeper:
        return keeper.call(do, **fields)


@contextmanager
def without_daemon(box: Box, do: str, told: dict[str, Any]) -> Iterator[Box]:
    """The keeper, asked itself: the spool takes the journal's entry before, and again, with `failed`, where it is not
    done."""
    box.operation(do, None, told)
    try:
        yield Box(KEEPER)
    except Failure as failure:
        box.operation(do, None, {**told, "failed": failure.message})
        raise


def _done(out: Output, words: str, answer: dict[str, Any]) -> int:
    if out.json:
        out.document(answer)
    else:
        out.say(words)
    return Exit.OK
