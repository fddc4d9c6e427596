"""What a DAHDI channel is to the box: which roles fit, which hook stands when the box begins, whose volts count."""

import threading
from dataclasses import replace
from typing import cast

import numpy as np
import pytest
from numpy.typing import NDArray

from cffi_bindings.dahdi import Channel, Signalling
from cffi_bindings.dahdi_channels import Channels
from firmware.cards import CardError, LineEventKind
from firmware.cards.dahdi_ports import Port, Role, check, hook_now
from firmware.cards.line_volts import LineVolts

LINE = Channel(7, 1, 7, "WCTDM/0/6", Signalling.LINE, "alaw", False, ())
TELEPHONE = replace(LINE, signalling=Signalling.TELEPHONE)


@pytest.mark.parametrize("signalling", list(Signalling))
@pytest.mark.parametrize("role", list(Role))
def test_a_role_fits_what_is_plugged_in(signalling: Signalling, role: Role) -> None:
    channel = replace(LINE, signalling=signalling)
    fitting = {
        Signalling.LINE: {Role.TAP, Role.TRUNK},
        Signalling.TELEPHONE: {Role.TAP, Role.STATION},
        Signalling.CLEAR: {Role.TAP},
    }
    if role in fitting.get(signalling, set()):
        check("Card a", "alaw", Port(7, role), channel)
    else:
        with pytest.raises(CardError, match=rf"Card a: DAHDI channel 7 .*, which is no {role.value}\. Remedy: another"):
            check("Card a", "alaw", Port(7, role), channel)


def test_another_law_is_refused() -> None:
    with pytest.raises(CardError, match=r'is alaw, the card is configured as ulaw\. Remedy: law = "alaw"'):
        check("Card a", "ulaw", Port(7), LINE)


def test_the_hook_that_stands_is_told_where_it_can_be_known() -> None:
    lifted = replace(TELEPHONE, off_hook=True)
    for role in (Role.TAP, Role.STATION):
        assert hook_now(Port(7, role), TELEPHONE, False) is LineEventKind.ON_HOOK
        assert hook_now(Port(7, role), lifted, False) is LineEventKind.OFF_HOOK
    # Towards an exchange the driver's word is of ringing: the box knows what it holds itself.
    ringing = replace(LINE, off_hook=True)
    assert hook_now(Port(7, Role.TRUNK), ringing, False) is LineEventKind.ON_HOOK
    assert hook_now(Port(7, Role.TRUNK), LINE, True) is LineEventKind.OFF_HOOK
    assert hook_now(Port(7, Role.TAP), ringing, False) is None
    assert hook_now(Port(7), replace(LINE, signalling=Signalling.CLEAR), False) is None


class Polled:
    """Gives -48 V on every port; the third question waits until it is let go."""

    def __init__(self, channels: int) -> None:
        self._volts = np.full(channels, -48, np.float32)
        self.asked = 0
        self.twice, self.go = threading.Event(), threading.Event()

    def volts(self) -> NDArray[np.float32]:
        self.asked += 1
        if self.asked == 3:
            self.twice.set()
            assert self.go.wait(30)
        return self._volts


def test_the_battery_that_a_port_feeds_to_a_telephone_is_no_line_voltage() -> None:
    polled = Polled(3)
    meter = LineVolts(cast(Channels, polled), 0.001, np.array([True, False, True]))
    assert polled.twice.wait(30)
    volts = meter.volts
    polled.go.set()
    meter.stop()
    assert volts is not None and volts.dtype == np.float32
    np.testing.assert_array_equal(volts, [48, np.nan, 48])
