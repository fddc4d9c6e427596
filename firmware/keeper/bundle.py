"""An update bundle: what it says of itself, and whether this box takes it.

A bundle is RAUC's, in the verity format: what it says is signed, and what is read of it later is checked block by
block. Its manifest carries the `build.json` of the root inside (image/build-bundle), so that all that can be refused is
refused before a byte is written.
"""

import os
from pathlib import Path

import msgspec

from firmware.control import Refusal
from firmware.formats import Format, hindrance
from firmware.keeper.place import Failed, Run

COMPATIBLE = "linekeep-amd64"
FREE_BYTES = 64 << 20
"""Is left on the data partition beside a bundle: recording goes on."""


class Build(msgspec.Struct, frozen=True, kw_only=True):
    """`build.json` of a root."""

    version: str
    development: bool
    built_utc: str
    formats: dict[str, Format]


class Bundle(msgspec.Struct, frozen=True, kw_only=True):
    compatible: str
    build: Build
    image_bytes: int


class _Image(msgspec.Struct):
    size: int


class _Info(msgspec.Struct):
    """What `rauc info` prints."""

    compatible: str
    version: str
    build: str
    images: list[dict[str, _Image]]


async def read(run: Run, path: Path, name: str, development: bool) -> Bundle:
    """What a bundle says that is signed for this box. `name` is what people call the file; `development` is what this
    box runs. Raises `Refusal` where it is not signed for this box, or no bundle."""
    try:
        said = await run("rauc", "info", "--output-format=json", str(path))
    except Failed as error:
        raise Refusal("refused", *_why(name, development, str(error))) from error
    try:
        info = msgspec.json.decode(said, type=_Info)
        build = msgspec.json.decode(info.build, type=Build)
        (size,) = (image.size for images in info.images for slot, image in images.items() if slot == "rootfs")
    except ValueError as error:
        raise Refusal(
            "refused", f"{name} is signed, but says nothing of its formats ({error}).", "Take one of `make image`."
        ) from error
    return Bundle(compatible=info.compatible, build=build, image_bytes=size)


def _why(name: str, development: bool, said: str) -> tuple[str, str]:
    """RAUC's words, as a message and a remedy."""
    if "signature verification failed" in said:
        own = (
            "This box runs a development build: it takes updates of the same development key alone. Flash it with a "
            "release."
            if development
            else "Fetch it again from where releases are published. A development build is flashed, never installed."
        )
        return f"{name} is refused: its signature is not of the key that this box trusts, or it was changed.", own
    if "Invalid bundle format" in said:
        return f"{name} is no update bundle, or only a part of one.", "Fetch it again: linekeep-VERSION-amd64.raucb."
    if "not allowed" in said:
        return f"{name} is refused: it is not in the verity format.", "Take one of `make image`."
    last = said.strip().splitlines()[-1]
    return f"{name} cannot be read as an update bundle: {last}.", "`journalctl -u linekeep-keeper` has more."


def judge(bundle: Bundle, name: str, slot_bytes: int) -> None:
    """Raises `Refusal` where it may not be installed over this version."""
    if bundle.compatible != COMPATIBLE:
        raise Refusal(
            "refused", f"{name} is for {bundle.compatible}, and this box is {COMPATIBLE}.", "Take the bundle for it."
        )
    why = hindrance(bundle.build.formats)
    if why:
        raise Refusal("refused", f"{name} (version {bundle.build.version}) may not follow this version:", why)
    if bundle.image_bytes > slot_bytes:
        raise Refusal(
            "refused",
            f"{name} needs a slot of {bundle.image_bytes >> 20} MB, and this disk has {slot_bytes >> 20} MB.",
            "Flash the disk anew with this version; see docs/updates.md.",
        )


def require_room(folder: Path, bundle_bytes: int) -> None:
    free = os.statvfs(folder)
    if free.f_bavail * free.f_frsize < bundle_bytes + FREE_BYTES:
        raise Refusal(
            "full",
            f"The data partition has {free.f_bavail * free.f_frsize >> 20} MB free, the update needs "
            f"{(bundle_bytes + FREE_BYTES) >> 20} MB.",
            "Move recordings that nobody needs to the trash: their place is free when their days there are over.",
        )
