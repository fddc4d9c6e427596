"""Why a recording started, in words."""

from typing import Any, cast

import pytest

from recorder.model import Recording, Trigger
from tests.recorder.values import start
from web_admin.i18n import LANGUAGES, Locale
from web_admin.reasons import started

SOUND: dict[str, Any] = {"level_dbm0": -21.4, "threshold_dbm0": -38.0}


@pytest.mark.parametrize("language", LANGUAGES)
def test_sound_in_the_place_of_the_hook_is_said_to_be_so(language: str) -> None:
    def said(trigger: Trigger, detail: dict[str, Any]) -> str:
        return started(start(trigger=trigger, trigger_detail=detail), cast(Recording, None), Locale(language))

    by_sound, blind = said(Trigger.VOX, SOUND), said(Trigger.VOX, SOUND | {"hook": "unknown"})
    # A minus sign, as people write it.
    assert "21.4" in by_sound and "21.4" in blind and "38.0" in blind
    assert by_sound.rstrip("。.") in blind and len(blind) > len(by_sound)
    assert said(Trigger.VOX, {"hook": "unknown"}) == Locale(language).word("why.started", "vox_blind")
    assert said(Trigger.VOLTAGE, {"volts": None, "threshold_volts": 18.0}) == Locale(language).word(
        "why.started", "voltage"
    )
