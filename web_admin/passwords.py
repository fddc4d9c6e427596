"""Passwords: how they are kept, and which are refused.

argon2id with t=2, m=19 MiB, p=1 (OWASP ASVS 5, 11.4.2). At most two are computed at once, in threads, so that a burst
of sign-ins takes neither the memory nor the loop. Rules follow ASVS 6.2: at least twelve characters, no rule of
composition, and nothing that stands on lists of common passwords. The list here (common_passwords.txt) is our own and
short: the words that such lists are made of. Digits, years, repetitions and keyboard walks are taken away first.
"""

import asyncio
import re
import unicodedata
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from argon2 import PasswordHasher, Type
from argon2.exceptions import InvalidHashError, VerificationError

SHORTEST = 12
LONGEST = 128

_hasher = PasswordHasher(time_cost=2, memory_cost=19456, parallelism=1, type=Type.ID)
_two_at_once = ThreadPoolExecutor(max_workers=2, thread_name_prefix="argon2")

# Checked for an account that does not exist, so that the answer takes as long.
_NOBODY = _hasher.hash("nobody has this password")

COMMON = frozenset((Path(__file__).parent / "common_passwords.txt").read_text("utf-8").split())
WALKS = (
    "qwertyuiop",
    "asdfghjkl",
    "zxcvbnm",
    "1234567890",
    "0987654321",
    "abcdefghijklmnopqrstuvwxyz",
    "1qaz2wsx3edc4rfv5tgb6yhn7ujm",
    "qazwsxedcrfvtgbyhnujm",
    "!@#$%^&*()",
)
_LEET = str.maketrans("@4301!5$7", "aaeoiisst")


def fault(password: str, name: str) -> str | None:
    """Why this password is refused for this account, as a key of the locale tables (`password.*`); None: it is good."""
    if len(password) < SHORTEST:
        return "password.too_short"
    if len(password) > LONGEST:
        return "password.too_long"
    plain = unicodedata.normalize("NFKC", password).casefold()
    if len(set(plain)) < 5 or _is_repetition(plain):
        return "password.repeats"
    if name and name.casefold() in plain and len(plain) - len(name) < 8:
        return "password.has_name"
    if _is_common(plain):
        return "password.common"
    return None


def _is_repetition(plain: str) -> bool:
    return any(plain == (plain[:size] * len(plain))[: len(plain)] for size in range(1, len(plain) // 2 + 1))


def _is_common(plain: str) -> bool:
    """True when nothing of substance is left after keyboard walks, common words, digits and signs are taken away."""
    rest = _without_walks(plain)
    return any(_without_words(spelling) < 4 for spelling in (rest, rest.translate(_LEET)))


def _without_walks(text: str) -> str:
    for walk in WALKS:
        for path in (walk, walk[::-1]):
            for size in range(len(path), 2, -1):
                for start in range(len(path) - size + 1):
                    text = text.replace(path[start : start + size], " ")
    return text


def _without_words(text: str) -> int:
    """How many letters are left."""
    text = re.sub(r"[\d\W_]+", " ", text)
    for word in sorted(COMMON, key=len, reverse=True):
        text = text.replace(word, " ")
    return len(text.replace(" ", ""))


async def hashed(password: str) -> str:
    return await asyncio.get_running_loop().run_in_executor(_two_at_once, _hasher.hash, _normal(password))


async def verified(stored: str | None, password: str) -> bool:
    """Whether the password is that of the stored hash; takes as long when there is no account."""

    def check() -> bool:
        try:
            return _hasher.verify(stored or _NOBODY, _normal(password)) and stored is not None
        except (VerificationError, InvalidHashError):
            return False

    return await asyncio.get_running_loop().run_in_executor(_two_at_once, check)


def _normal(password: str) -> str:
    return unicodedata.normalize("NFC", password)
