"""What the boot menu tells the kernel."""

import re
from pathlib import Path
from typing import Literal

GRUB = Path(__file__).resolve().parents[2] / "image/grub.cfg"


def kernel_words(slot: Literal["A", "B"] = "A") -> str:
    """Of this slot, without what one start alone has: the machine's identity, the trial of an update."""
    words = re.search(r"\blinux \(\S+ (.*?)(; then)?$", GRUB.read_text(encoding="utf-8"), re.MULTILINE)
    assert words, GRUB
    known = {"$part": f"linekeep-root-{slot.lower()}", "$slot": slot}
    return re.sub(r"\$\w+", lambda name: known.get(name[0], ""), words[1]).strip()
