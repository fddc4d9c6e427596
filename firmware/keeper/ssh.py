"""SSH: a shell as root for whoever holds one of the keys, off until somebody switches it on.

Off means that nothing listens, now and at the next start. There is no password to sign in with: the image's
`sshd_config.d` takes keys alone. The box's own key is made when SSH is first switched on, and lies on the data
partition with the keys that may sign in.
"""

import os
from pathlib import Path
from typing import Annotated

from msgspec import Meta

from firmware.control import Refusal
from firmware.keeper.asking import BoxAct, Keeping
from firmware.keeper.place import Failed, log, publish
from firmware.wire import Fields, SshState, fingerprint
from recorder.disk import sync_folder

UNIT = "ssh.service"
MOST_KEYS = 10
SHORTEST_RSA_BITS = 2048
TYPES = (
    "ssh-ed25519", "ecdsa-sha2-nistp256", "ecdsa-sha2-nistp384", "ecdsa-sha2-nistp521", "ssh-rsa",
)  # fmt: skip


class Ssh(BoxAct):
    """What is left out stays as it is. `keys` are all that may sign in from now on."""

    on: bool | None = None
    keys: Annotated[list[Annotated[str, Meta(max_length=4096)]], Meta(max_length=MOST_KEYS)] | None = None

    def told(self) -> Fields:
        """Of a key its fingerprint."""
        told = super().told()
        if self.keys is not None:
            told["keys"] = [fingerprint(key) for key in self.keys]
        return told


async def set_ssh(keeper: Keeping, request: Ssh) -> Fields:
    settings = keeper.kept.settings
    keys = settings.ssh_keys if request.keys is None else [_key(line) for line in request.keys]
    on = settings.ssh_on if request.on is None else request.on
    if on and not keys:
        raise Refusal(
            "refused", "box.ssh: SSH stays off: no key may sign in, and there are no passwords.",
            "Give at least one public key with it.",
        )  # fmt: skip
    await _act(keeper, on, keys)
    keeper.kept.put(ssh_on=on, ssh_keys=keys)
    return {}


async def apply(keeper: Keeping) -> None:
    """At the start nobody waits: what SSH waits for, the network, waits for the keeper."""
    await _act(keeper, keeper.kept.settings.ssh_on, keeper.kept.settings.ssh_keys, "--no-block")


async def _act(keeper: Keeping, on: bool, keys: list[str], *how: str) -> None:
    publish(keeper.place.public / "authorized_keys", "".join(f"{key}\n" for key in keys))
    if on:
        await _make_own_key(keeper)
    await keeper.run("systemctl", *how, "start" if on else "stop", UNIT)
    keeper.problems.pop("ssh", None)


async def state(keeper: Keeping) -> Fields:
    settings = keeper.kept.settings
    public = _own_key(keeper).with_suffix(".pub")
    return {
        "ssh": SshState(
            on=settings.ssh_on,
            keys=len(settings.ssh_keys),
            comments=[" ".join(key.split()[2:]) for key in settings.ssh_keys],
            fingerprint=fingerprint(public.read_text(encoding="ascii")) if public.exists() else "",
        )
    }


def _own_key(keeper: Keeping) -> Path:
    return keeper.place.kept / "ssh/host_ed25519"


async def _make_own_key(keeper: Keeping) -> None:
    """Under its name stands a whole, durable key or none: the private one comes last. One that is of no use, as a power
    cut leaves a file that was not synced, is made anew."""
    key = _own_key(keeper)
    if await _is_of_use(keeper, key):
        return
    key.parent.mkdir(mode=0o700, exist_ok=True)
    fresh = key.with_name(key.name + ".new")
    pairs = ((fresh.with_name(fresh.name + ".pub"), key.with_suffix(".pub")), (fresh, key))
    for made, _ in pairs:
        made.unlink(missing_ok=True)
    await keeper.run("ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", "linekeep", "-f", str(fresh))
    for made, _ in pairs:
        _sync(made)
    for made, name in pairs:
        made.rename(name)
    sync_folder(key.parent)
    sync_folder(key.parent.parent)


async def _is_of_use(keeper: Keeping, key: Path) -> bool:
    if not key.exists():
        return False
    try:
        await keeper.run("ssh-keygen", "-y", "-P", "", "-f", str(key))
    except Failed as error:
        log.warning("the box's SSH key is made anew: %s", error)
        return False
    return True


def _sync(path: Path) -> None:
    with path.open("rb") as file:
        os.fsync(file.fileno())


def _key(line: str) -> str:
    """A public key without options in front of it. Its type is the first word."""
    from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey
    from cryptography.hazmat.primitives.serialization import load_ssh_public_key

    words = line.split()
    try:
        if len(words) < 2 or words[0] not in TYPES or not line.isprintable():
            raise ValueError(f"it does not begin with one of {', '.join(TYPES)}")
        key = load_ssh_public_key(" ".join(words[:2]).encode())
        if isinstance(key, RSAPublicKey) and key.key_size < SHORTEST_RSA_BITS:
            raise ValueError(f"an RSA key of {key.key_size} bits is too short")
    except ValueError as error:
        raise Refusal(
            "bad_request", f"box.ssh: {line[:60]!r} is not a public key that may sign in: {error}.",
            "Give the one line of a file such as ~/.ssh/id_ed25519.pub.",
        ) from error  # fmt: skip
    return " ".join(words)
