"""The box's key: made once, never replaced, and what it signs."""

import random
import stat
from pathlib import Path

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey

from recorder import identity
from recorder.errors import IdentityError
from tests.recorder.crashdisk import CrashDisk

RFC_8032_KEY = """-----BEGIN PRIVATE KEY-----
MC4CAQAwBQYDK2VwBCIEIJ1hsZ3v/VpguoRK9JLsLMREScVpezJpGXA7rAMcrn9g
-----END PRIVATE KEY-----
"""


def test_it_is_made_once_and_is_its_owners_alone(tmp_path: Path) -> None:
    made = identity.load_or_make(tmp_path)
    again = identity.load_or_make(tmp_path)
    assert (made.public, made.fingerprint) == (again.public, again.fingerprint)
    assert identity.public_of(tmp_path) == made.public
    assert stat.S_IMODE((tmp_path / "identity/key.pem").stat().st_mode) == 0o600
    assert sorted(path.name for path in (tmp_path / "identity").iterdir()) == ["key.pem", "public.pem"]
    groups = made.fingerprint.split(" ")
    assert len(groups) == 16 and {len(group) for group in groups} == {4}


def test_two_boxes_have_two_keys(tmp_path: Path) -> None:
    for name in ("one", "other"):
        (tmp_path / name).mkdir()
        identity.load_or_make(tmp_path / name)
    assert identity.public_of(tmp_path / "one") != identity.public_of(tmp_path / "other")


def test_a_signature_is_for_its_purpose_its_data_and_its_key(tmp_path: Path) -> None:
    box = identity.load_or_make(tmp_path)
    signature = box.sign("report", b"all is well")
    assert identity.good(box.public, "report", b"all is well", signature)
    assert not identity.good(box.public, "invoice", b"all is well", signature)
    assert not identity.good(box.public, "report", b"all is lost", signature)
    assert not identity.good(box.public[::-1], "report", b"all is well", signature)
    assert not identity.good(b"short", "report", b"all is well", signature)


def test_openssl_agrees(tmp_path: Path) -> None:
    """The key of RFC 8032, 7.1, test 1. Made by OpenSSL 3.0.19: `openssl pkeyutl -sign -rawin -inkey key.pem -in data`,
    data being `linekeep report`, a line feed, `all is well`; the fingerprint with `openssl pkey -in key.pem -pubout
    -outform DER | tail -c 32 | sha256sum`."""
    (tmp_path / "identity").mkdir()
    (tmp_path / "identity/key.pem").write_text(RFC_8032_KEY)
    box = identity.load_or_make(tmp_path)
    assert box.public.hex() == "d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a"
    assert identity.same(box.fingerprint, "21fe31dfa154a261626bf854046fd2271b7bed4b6abe45aa58877ef47f9721b9")
    assert box.sign("report", b"all is well").hex() == (
        "ccda7bf12fd37564ab6ac4786f6b50b245de347e8a34ea5c50c4073f909ee75e"
        "b5fe108fee95a2f1ee2226bfccbc29fb69d1921289dd2fd082fdf65cbdc11403"
    )


@pytest.mark.parametrize("content", [b"", b"-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n"])
def test_a_damaged_key_is_an_error_and_stays_as_it_is(tmp_path: Path, content: bytes) -> None:
    identity.load_or_make(tmp_path)
    key = tmp_path / "identity/key.pem"
    key.write_bytes(content)
    with pytest.raises(IdentityError, match=r"damaged\. Put identity/ back from the backup"):
        identity.load_or_make(tmp_path)
    assert key.read_bytes() == content


def test_a_key_that_is_gone_or_another_boxs_is_not_replaced(tmp_path: Path) -> None:
    (tmp_path / "other").mkdir()
    identity.load_or_make(tmp_path / "other")
    identity.load_or_make(tmp_path)
    key = tmp_path / "identity/key.pem"
    key.unlink()
    with pytest.raises(IdentityError, match="gone"):
        identity.load_or_make(tmp_path)
    assert not key.exists()
    key.write_bytes((tmp_path / "other/identity/key.pem").read_bytes())
    with pytest.raises(IdentityError, match="not the key"):
        identity.load_or_make(tmp_path)


@pytest.mark.parametrize(("target", "why"), [("x" * 300, "File name too long"), ("identity", "Too many levels")])
def test_a_folder_that_cannot_be_looked_into_is_an_error_of_the_key(tmp_path: Path, target: str, why: str) -> None:
    """As a folder is that belongs to root: the daemon must be able to say so, and go on recording."""
    (tmp_path / "identity").symlink_to(target)
    with pytest.raises(IdentityError, match=rf"key\.pem: the box's key cannot be read \({why}"):
        identity.load_or_make(tmp_path)


def test_another_kind_of_key_is_refused(tmp_path: Path) -> None:
    (tmp_path / "identity").mkdir()
    (tmp_path / "identity/key.pem").write_bytes(
        X25519PrivateKey.generate().private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )
    )
    with pytest.raises(IdentityError, match="no Ed25519 key"):
        identity.load_or_make(tmp_path)


def test_a_crash_at_any_moment_leaves_no_key_or_the_key(tmp_path: Path) -> None:
    data = tmp_path / "data"
    data.mkdir()
    crashing = CrashDisk(data)
    with crashing.in_place():
        made = identity.load_or_make(data)
        crashing.told("made")
    for calls in range(len(crashing.calls) + 1):
        for seed in range(4):
            target = tmp_path / f"{calls}-{seed}"
            told = crashing.image(calls, target, random.Random(seed))
            target.mkdir(exist_ok=True)
            found = identity.load_or_make(target)
            if told:
                assert found.public == made.public
            assert identity.load_or_make(target).public == found.public == identity.public_of(target)


def test_fingerprints_are_compared_by_their_digits(tmp_path: Path) -> None:
    shown = identity.load_or_make(tmp_path).fingerprint
    assert identity.same(shown, shown.lower().replace(" ", ":"))
    assert not identity.same(shown, shown[:-1]) and not identity.same("", "")
