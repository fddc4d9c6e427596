"""What can be typed: every command, its words and its help.

A command's function is named here and imported when it is called, so that `linekeep --help` and `linekeep status`
need not wait for numpy.
"""

import argparse
import unicodedata
from collections.abc import Callable
from typing import TypeVar

from firmware.cli.times import WORDS, parse_duration

Number = TypeVar("Number", int, float)

DIRECTIONS = ("in", "out", "unknown")
ZONES = ("cn", "us", "eu", "uk", "hk")
CLASSES = ("voice", "fax", "modem", "music", "none", "other")

EPILOG = """\
exit codes:
  0  done
  1  not done, or the answer is no (a digest differs, part of the request failed, the configuration is wrong)
  2  the command line is wrong
  3  the daemon cannot be reached (start it with `make run`)
  4  no such recording, line, alarm or file
  5  refused: the state does not allow it (daemon running, line not simulated, recording purged)
  6  the data folder, the catalogue or a file cannot be read or written
  130  stopped with Ctrl-C     141  the reader of the output went away

Reading (search, show, play, export, verify, analyse, user list, config check) works with the daemon down, and so do
doctor and card scan.
A recording is named by its handle; any beginning of it that is unique, of 6 digits or more, will do.
Times are the box's local time. The data folder is --data, else $LINEKEEP_DATA, else var/ in the project's folder.
Every command and every JSON document: docs/command.md
"""


def number_in(kind: Callable[[str], Number], low: Number, high: Number) -> Callable[[str], Number]:
    """A number within bounds, for argparse; its message says which."""

    def parse(text: str) -> Number:
        try:
            value = kind(text)
        except ValueError:
            raise argparse.ArgumentTypeError(f"{text!r} is not a number from {low} to {high}") from None
        if not low <= value <= high:
            raise argparse.ArgumentTypeError(f"{text} is not from {low} to {high}")
        return value

    return parse


def duration(text: str) -> float:
    try:
        return parse_duration(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from None


line_number = number_in(int, 1, 65535)


def line_numbers(text: str) -> tuple[int, ...]:
    """`1-8` or `1,3,5-7`."""
    lines: set[int] = set()
    for part in text.split(","):
        first, dash, last = part.partition("-")
        numbers = range(line_number(first), line_number(last if dash else first) + 1)
        if not numbers:
            raise argparse.ArgumentTypeError(f"{part} goes backwards")
        lines.update(numbers)
    return tuple(sorted(lines))


def printable(text: str) -> str:
    """As it may stand on paper."""
    if any(unicodedata.category(char) in ("Cc", "Cs") for char in text):
        raise argparse.ArgumentTypeError("a name is text in UTF-8 without control characters")
    return text


def dialled(text: str) -> str:
    if text.strip("0123456789*#ABCD"):
        raise argparse.ArgumentTypeError(f"{text} is not what can be dialled: digits, *, #, A to D")
    return text


def build() -> argparse.ArgumentParser:
    """The whole parser; `arguments.run` is `module:function` of the chosen command."""
    common = argparse.ArgumentParser(add_help=False, argument_default=argparse.SUPPRESS)
    common.add_argument("--data", metavar="DIR", help="the data folder")
    common.add_argument("--json", action="store_true", help="print JSON: one document, or one line a report")
    top = argparse.ArgumentParser(
        prog="linekeep",
        description="Linekeep at the console: what the lines do, what was recorded, and keeping it.",
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        parents=[common],
    )
    commands = top.add_subparsers(metavar="COMMAND", required=True, title="commands")

    def add(
        name: str, run: str, help: str, to: "argparse._SubParsersAction[argparse.ArgumentParser]" = commands
    ) -> argparse.ArgumentParser:
        command = to.add_parser(name, help=help, description=help[0].upper() + help[1:] + ".", parents=[common])
        command.set_defaults(run=run)
        return command

    def group(name: str, help: str) -> "argparse._SubParsersAction[argparse.ArgumentParser]":
        return commands.add_parser(name, help=help, parents=[common]).add_subparsers(metavar="ACT", required=True)

    _live(add)
    _reading(add)
    _keeping(add)
    _hardware(add, group)
    _people(add, group)
    _box(add)
    _simulation(add, group)
    return top


Add = Callable[..., argparse.ArgumentParser]
Group = Callable[[str, str], "argparse._SubParsersAction[argparse.ArgumentParser]"]


def _live(add: Add) -> None:
    add("status", "live:status", "the state of the box: lines, cards, writer, disk, alarms")
    lines = add("lines", "live:lines", "every line and what it does now")
    lines.add_argument("--watch", action="store_true", help="stay, and show changes as they come")
    listen = add("listen", "live:listen", "listen to a line live (entered in the journal)")
    listen.add_argument("line", metavar="LINE", type=line_number)
    listen.add_argument("--to", metavar="FILE", help="write a WAV file instead; - for raw companded bytes")
    listen.add_argument("--for", dest="seconds", metavar="TIME", type=duration, help="stop after this long (30s, 5m)")

    key = add("key", "change:key", "start or stop recording a line, as the key on the page does")
    key.add_argument("line", metavar="LINE", type=line_number)
    key.add_argument("state", choices=("on", "off"))


def _reading(add: Add) -> None:
    search = add("search", "find:search", "recordings, newest first (entered in the journal)")
    search.add_argument("--today", action="store_true", help="the same as --since today")
    search.add_argument("--since", metavar="WHEN", help=WORDS)
    search.add_argument("--until", metavar="WHEN", help="a day means its end")
    search.add_argument("--line", metavar="N", type=line_number, action="append", default=[], help="may be repeated")
    search.add_argument("--number", default="", help="5039 exact, '5039*' beginning, '*5039' end, '*5039*' any part")
    search.add_argument("--direction", choices=DIRECTIONS)
    search.add_argument("--class", dest="classes", choices=CLASSES, action="append", default=[], help="may be repeated")
    search.add_argument("--min", metavar="TIME", type=duration, help="not shorter than (20, 20s, 5m)")
    search.add_argument("--max", metavar="TIME", type=duration, help="not longer than")
    search.add_argument("--text", metavar="WORDS", default="", help="words of notes and tags, all of which must occur")
    search.add_argument(
        "--limit", metavar="N", type=number_in(int, 1, 100_000), default=50, help="at most so many (50)"
    )
    search.add_argument("--trash", action="store_true", help="search the trash")
    search.add_argument(
        "--copies", action="store_true", help="show every recording of a call, not only the one that counts"
    )
    analyse = add("analyse", "analyse:analyse", "what the detectors hear in sound files")
    analyse.add_argument("files", metavar="FILE", nargs="+", help="WAV (G.711, PCM), FLAC, OGG, MP3; mono or stereo")
    analyse.add_argument("--zone", choices=ZONES, default="cn", help="whose progress tones are expected (cn)")
    analyse.add_argument("--law", choices=("alaw", "ulaw"), default="alaw", help="for files that are not G.711 (alaw)")
    analyse.add_argument("--plot", metavar="PNG", help="draw waveform, spectrogram and events into a new file")
    show = add("show", "show:show", "one recording: what it holds, why it started and stopped, who heard it")
    show.add_argument("handle", metavar="HANDLE")
    play = add("play", "take:play", "play a recording (entered in the journal)")
    play.add_argument("handle", metavar="HANDLE")
    play.add_argument("--to", metavar="FILE", help="write a WAV file instead; - for raw companded bytes")
    play.add_argument(
        "--from", dest="begin", metavar="TIME", type=duration, default=0.0, help="begin here (90s, 1m30s)"
    )
    play.add_argument("--for", dest="seconds", metavar="TIME", type=duration, help="stop after this long")


def _keeping(add: Add) -> None:
    export = add("export", "take:export", "copies of recordings and an index of them (entered in the journal)")
    export.add_argument("handles", metavar="HANDLE", nargs="+")
    export.add_argument("--to", metavar="DIR", required=True, help="a folder; made if it does not exist")
    export.add_argument("--flac", action="store_true", help="FLAC of 16 bit instead of the WAV as it was recorded")
    trash = add("trash", "change:trash", "put recordings into the trash")
    trash.add_argument("handles", metavar="HANDLE", nargs="+")
    trash.add_argument("--reason", required=True, help="why; stands in the journal")
    undelete = add("undelete", "change:undelete", "bring recordings back from the trash")
    undelete.add_argument("handles", metavar="HANDLE", nargs="+")
    link = add("link", "change:link", "two recordings are of one call: from now on they count once")
    link.add_argument("copy", metavar="COPY", help="the one that is left out")
    link.add_argument("principal", metavar="PRINCIPAL", help="the one that counts, on the trunk line")
    unlink = add("unlink", "change:unlink", "a recording is no copy of another after all")
    unlink.add_argument("copy", metavar="COPY")
    verify = add("verify", "check:verify", "read recordings again, compare their digests, check the journal")
    which = verify.add_mutually_exclusive_group()
    which.add_argument("handles", metavar="HANDLE", nargs="*", default=[])
    which.add_argument(
        "--all", action="store_true", help="every recording, and the journal; this is what happens without a handle"
    )
    add("rebuild", "check:rebuild", "make the catalogue anew from recordings and journal, the daemon being down")


def _hardware(add: Add, group: Group) -> None:
    add("doctor", "doctor:doctor", "is this machine fit to record? each part with a verdict and what to do")
    card = group("card", "telephony cards: what there is, what their lines do")
    add("scan", "card:scan", "cards, spans, channels, and the piece of configuration for them", to=card)
    monitor = add("monitor", "card:monitor", "live levels, volts and states", to=card)
    monitor.add_argument(
        "--line", dest="lines", metavar="N", type=line_number, action="append", default=[], help="may be repeated"
    )
    monitor.add_argument("--card", metavar="NAME", help="only the lines of this card")
    monitor.add_argument("--every", metavar="SECONDS", type=number_in(float, 0.1, 60), default=0.5, help="(0.5)")
    monitor.add_argument("--for", dest="seconds", metavar="TIME", type=duration, help="stop after this long (30s, 5m)")
    update = add("update", "update:update", "install an update; without a file, what is in the two slots")
    update.add_argument("file", metavar="FILE", nargs="?", help="linekeep-VERSION-amd64.raucb, of whatever place")
    learn = add("learn", "learn:learn", "the threshold wizard: measures a line step by step, proposes, writes", to=card)
    learn.add_argument("--line", metavar="N", type=line_number, required=True)
    learn.add_argument("--seconds", metavar="S", type=number_in(float, 1, 30), default=5.0, help="each step (5)")
    learn.add_argument("--yes", action="store_true", help="write what is proposed without asking")
    accept = add(
        "accept", "accept:accept", "test calls on every line, ending in a signed acceptance sheet for printing", to=card
    )
    accept.add_argument("--lines", metavar="1-8", type=line_numbers, help="these lines (1-8, 1,3,5); else all enabled")
    accept.add_argument("--watch", metavar="TIME", type=duration, help="ask nothing: fill in what happens (30m)")
    accept.add_argument(
        "--digits", metavar="DIGITS", type=dialled, default="", help="what will be dialled on every line"
    )
    accept.add_argument("--installer", metavar="NAME", type=printable, default="")
    accept.add_argument("--customer", metavar="NAME", type=printable, default="")
    accept.add_argument("--out", metavar="FILE.html", help="a new file; else acceptance-DATE-TIME.html here")
    accept.add_argument("--language", choices=("zh-CN", "en"), help="of the sheet; else the box's")
    accept.add_argument("--verify", metavar="FILE", help="check a sheet instead: is it what this box signed?")
    accept.add_argument("--fingerprint", metavar="HEX", help="with --verify: of the box's key, noted down elsewhere")


def _people(add: Add, group: Group) -> None:
    user = group("user", "the people who may use the page")
    add("list", "change:user_list", "accounts and what they may do", to=user)
    reset = add("reset", "change:user_reset", "disable every account and print a new one-time setup code", to=user)
    reset.add_argument("--yes", action="store_true", help="do not ask")
    alarms = add("alarms", "change:alarms", "alarms, open ones first; `alarms ack ID` acknowledges one")
    alarms.add_argument("act", nargs="?", choices=("ack",), metavar="ack")
    alarms.add_argument("alarm", nargs="?", metavar="ID")
    config = group("config", "the configuration file")
    check = add("check", "check:config_check", "read a configuration and say what is wrong with it", to=config)
    check.add_argument("file", metavar="FILE", nargs="?", help="default: linekeep.toml of the data folder")


def _box(add: Add) -> None:
    box = add("box", "system:state", "the box itself: version, time, network, name, SSH; what is set and how it is now")
    acts = box.add_subparsers(metavar="ACT")
    time = add("time", "system:time", "set the zone and the time servers", to=acts)
    time.add_argument("--zone", metavar="ZONE", help="an IANA zone such as Asia/Shanghai")
    servers = time.add_mutually_exclusive_group()
    servers.add_argument("--server", metavar="HOST", action="append", help="a time server; may be repeated")
    servers.add_argument(
        "--servers-of-network", action="store_true", help="ask those that the network names again (DHCP)"
    )
    network = acts.add_parser("network", help="set the box's addresses; a change goes back unless it is confirmed")
    ways = network.add_subparsers(metavar="HOW", required=True)
    dhcp = add("dhcp", "system:network_dhcp", "let the network give addresses", to=ways)
    static = add("static", "system:network_static", "give the box fixed addresses, IPv4, IPv6 or both", to=ways)
    static.add_argument("addresses", metavar="ADDRESS/PREFIX", nargs="+", help="such as 192.0.2.10/24")
    static.add_argument("--gateway", metavar="ADDRESS", action="append", help="one for IPv4, one for IPv6")
    for way in (dhcp, static):
        way.add_argument("--interface", metavar="CARD", help="the network card, where there are several")
        way.add_argument("--dns", metavar="ADDRESS", action="append", help="a name server; may be repeated")
    add("confirm", "system:network_confirm", "keep the setting that is on trial", to=ways)
    add("back", "system:network_back", "go back to the former setting now", to=ways)
    name = add("name", "system:name", "set the host name", to=acts)
    name.add_argument("name", metavar="NAME")
    ssh = add("ssh", "system:ssh", "switch SSH on or off; it takes keys alone, for root", to=acts)
    ssh.add_argument("state", choices=("on", "off"))
    keys = ssh.add_mutually_exclusive_group()
    keys.add_argument(
        "--key", metavar="FILE", action="append", help="public keys that may sign in, in place of those kept so far"
    )
    keys.add_argument("--forget-keys", action="store_true", help="with `off`: no key is kept; without, they stay")
    for verb, words in (("restart", "restart the box"), ("power-off", "switch the box off")):
        power = add(verb, f"system:{verb.replace('-', '_')}", f"{words}; calls in progress are sealed first", to=acts)
        power.add_argument("--yes", action="store_true", help="do not ask")
    encrypt = add("encrypt", "system:encrypt", "encrypt the data partition at the next start", to=acts)
    encrypt.add_argument("means", choices=("tpm", "usb", "boot", "off"), help="what opens it; off takes the order back")
    add("recovery-key", "system:recovery_key", "make a recovery key for the encrypted data partition", to=acts)
    reset = add("reset", "system:reset", "factory reset; the box restarts to do it", to=acts)
    reset.add_argument("recordings", choices=("keep", "destroy"), help="what becomes of the recordings")
    reset.add_argument("--yes", action="store_true", help="do not ask")
    add("resume", "system:resume", "leave safe mode: start the daemon again", to=acts)


def _simulation(add: Add, group: Group) -> None:
    sim = group("sim", "simulated lines: calls, traffic, faults")
    call = add("call", "sim:call", "put a sound file on a simulated line as a call", to=sim)
    call.add_argument("--line", metavar="N", type=line_number, required=True)
    party = call.add_mutually_exclusive_group(required=True)
    party.add_argument("--caller", metavar="NUMBER", help="the call comes in from this number")
    party.add_argument("--callee", metavar="NUMBER", help="the call goes out to this number")
    call.add_argument("--audio", metavar="FILE", required=True, help="any sound file")
    call.add_argument("--answer-after", metavar="TIME", type=duration, help="let it ring this long")
    call.add_argument(
        "--line-noise", action="store_true", help="let the line add its noise, hum, dial tone and ring-back"
    )
    call.add_argument("--wait", action="store_true", help="stay until the call is recorded and say its handle")
    replay = add("replay", "sim:replay", "play a folder of recordings as traffic", to=sim)
    replay.add_argument("folder", metavar="DIR")
    replay.add_argument("--over", metavar="TIME", type=duration, help="spread over this long (8h)")
    scenario = add("scenario", "sim:scenario", "start or stop the calls that come by themselves", to=sim)
    scenario.add_argument("state", choices=("on", "off"))
    cut = add("cut", "sim:cut", "cut a simulated line, or mend it", to=sim)
    cut.add_argument("line", metavar="LINE", type=line_number)
    cut.add_argument("--mend", action="store_true")
