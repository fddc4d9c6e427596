"""What the journal is told of an act of the box that is asked of the keeper itself, because no daemon is there.

The daemon lets each request say that of itself. Page and command, which enter such an act in the spool, keep to this:
everything but the actor, who stands beside it; of an SSH key its fingerprint, for its comment is mostly a name.
"""

import base64
import hashlib

from firmware.wire.frames import Fields


def entered(fields: Fields) -> Fields:
    """Of what is asked of the keeper."""
    told = {name: value for name, value in fields.items() if name != "actor"}
    if isinstance(keys := told.get("keys"), list):
        told["keys"] = [fingerprint(key) for key in keys]
    return told


def fingerprint(key: str) -> str:
    """Of a line of `authorized_keys`, as `ssh` shows it; of what is no key, that it is none."""
    try:
        digest = hashlib.sha256(base64.b64decode(key.split()[1])).digest()
    except (IndexError, ValueError):
        return "no key"
    return "SHA256:" + base64.b64encode(digest).decode().rstrip("=")
