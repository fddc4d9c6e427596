"""The box's own key: Ed25519 (RFC 8032), by which others know that a paper or a file came from this box.

It is made once, by whoever holds the data folder's lock, and never changed: `identity/key.pem` (PKCS 8, PEM, readable
by its owner alone), and beside it `identity/public.pem` (for everybody) with the public half. A key that cannot be
read, and one that is gone while its public half is there, are errors that a person must resolve; a new key in their
place would make every older signature look like a stranger's.

People compare the fingerprint: the SHA-256 of the 32 bytes of the public key, in sixteen groups of four hexadecimal
digits. What is signed begins with its purpose, so that a signature made for one is worth nothing for another.
"""

import hashlib
import os
from dataclasses import dataclass
from pathlib import Path

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from recorder import disk
from recorder.errors import IdentityError, remedy

FOLDER = "identity"
SECRET_MODE = 0o600
_BACKUP = (
    "Put identity/ back from the backup. Without one remove the folder: the box then makes a new key, and what it "
    "signed before can be checked with a copy of the old public.pem alone."
)


@dataclass(frozen=True, slots=True)
class Identity:
    """The key in the hands of the daemon."""

    _secret: Ed25519PrivateKey

    @property
    def public(self) -> bytes:
        """32 bytes."""
        return self._secret.public_key().public_bytes_raw()

    @property
    def fingerprint(self) -> str:
        return fingerprint(self.public)

    def sign(self, purpose: str, data: bytes) -> bytes:
        """64 bytes."""
        return self._secret.sign(_framed(purpose, data))


def fingerprint(public: bytes) -> str:
    """`3F2A 90C1 ...`: sixteen groups of four."""
    digits = hashlib.sha256(public).hexdigest().upper()
    return " ".join(digits[at : at + 4] for at in range(0, len(digits), 4))


def same(one: str, other: str) -> bool:
    """Are these one fingerprint, however its groups are written?"""

    def digits(text: str) -> str:
        return "".join(char for char in text.upper() if char.isalnum())

    return digits(one) == digits(other) != ""


def good(public: bytes, purpose: str, data: bytes, signature: bytes) -> bool:
    """Was `data` signed for this purpose with the key whose public half this is?"""
    try:
        Ed25519PublicKey.from_public_bytes(public).verify(signature, _framed(purpose, data))
    except (InvalidSignature, ValueError):
        return False
    return True


def _framed(purpose: str, data: bytes) -> bytes:
    return f"linekeep {purpose}\n".encode() + data


def public_of(data: Path) -> bytes:
    """The public half of the box whose data folder this is. Raises `IdentityError`."""
    path = data / FOLDER / "public.pem"
    try:
        key = serialization.load_pem_public_key(path.read_bytes())
    except OSError as error:
        raise IdentityError(f"{path}: the box's public key cannot be read ({error.strerror}). {_BACKUP}") from error
    except ValueError as error:
        raise IdentityError(f"{path}: this is no public key. {_BACKUP}") from error
    if not isinstance(key, Ed25519PublicKey):
        raise IdentityError(f"{path}: this is no Ed25519 key. {_BACKUP}")
    return key.public_bytes_raw()


def load_or_make(data: Path) -> Identity:
    """The box's key, made where the box has had none. For whoever holds the folder's lock. Raises `IdentityError`."""
    secret, public = data / FOLDER / "key.pem", data / FOLDER / "public.pem"
    if not _is_there(secret):
        if _is_there(public):
            raise IdentityError(f"{secret}: the box's key is gone, its public half is there. {_BACKUP}")
        return _make(secret, public)
    identity = Identity(_load(secret))
    if not _is_there(public):
        # A crash came between the two.
        _write(public, _public_pem(identity), disk.FILE_MODE)
    elif public_of(data) != identity.public:
        raise IdentityError(f"{secret}: this is not the key whose public half stands beside it. {_BACKUP}")
    return identity


def _is_there(path: Path) -> bool:
    """What cannot be looked at is not missing: in its place no key may be made."""
    try:
        path.stat()
    except FileNotFoundError:
        return False
    except OSError as error:
        raise IdentityError(f"{path}: the box's key cannot be read ({error.strerror}). {remedy(error)}") from error
    return True


def _load(path: Path) -> Ed25519PrivateKey:
    try:
        pem = path.read_bytes()
    except OSError as error:
        raise IdentityError(f"{path}: the box's key cannot be read ({error.strerror}). {remedy(error)}") from error
    try:
        key = serialization.load_pem_private_key(pem, None)
    except (ValueError, TypeError) as error:
        raise IdentityError(f"{path}: the box's key is damaged. {_BACKUP}") from error
    if not isinstance(key, Ed25519PrivateKey):
        raise IdentityError(f"{path}: this is no Ed25519 key. {_BACKUP}")
    return key


def _make(secret: Path, public: Path) -> Identity:
    identity = Identity(Ed25519PrivateKey.generate())
    pem = identity._secret.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    _write(secret, pem, SECRET_MODE)
    _write(public, _public_pem(identity), disk.FILE_MODE)
    return identity


def _public_pem(identity: Identity) -> bytes:
    return identity._secret.public_key().public_bytes(
        serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
    )


def _write(path: Path, content: bytes, mode: int) -> None:
    try:
        disk.make_folders(path.parent.parent, path.parent)
        disk.replace_file(path, content, mode=mode)
    except OSError as error:
        why = os.strerror(error.errno or 0)
        raise IdentityError(f"{path}: the box's key could not be written ({why}). {remedy(error)}") from error
