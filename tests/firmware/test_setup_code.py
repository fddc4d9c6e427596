"""The setup code is shown where the box has a console of its own, and nowhere else."""

from pathlib import Path

import pytest

from firmware import setup_code


def test_on_an_installed_box_it_lies_where_only_the_console_reads_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("RUNTIME_DIRECTORY", str(tmp_path))
    place = tmp_path / "setup-code"
    for code in ("AAAA-BBBB", "CCCC-DDDD"):
        setup_code.show(code)
        assert place.read_text() == f"{code}\n" and place.stat().st_mode & 0o777 == 0o600
    setup_code.hide()
    setup_code.hide()
    assert not place.exists()
    assert capfd.readouterr() == ("", ""), "a log would keep it"


def test_in_a_terminal_it_is_printed(monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]) -> None:
    monkeypatch.delenv("RUNTIME_DIRECTORY", raising=False)
    setup_code.show("AAAA-BBBB")
    setup_code.hide()
    assert capfd.readouterr().err == "setup code: AAAA-BBBB\n"
