"""The acceptance sheet: what is signed, what the page shows of it, and what becomes of a changed file."""

import re
import tomllib
from html.parser import HTMLParser
from pathlib import Path
from typing import Any, get_args

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from firmware import acceptance, alarms
from firmware.acceptance import CHECKS
from firmware.sheet import page, sealed
from firmware.sheet.document import AlarmSheet, CheckSheet, FindingSheet, Sheet
from firmware.sheet.sealed import Sealed, SheetError, Verdict
from recorder import identity
from tests.firmware.sheets import NOON, drawn, failed, left_out, line, sheet, signed

FOLDER = Path(page.__file__).parent
TABLES = {language: tomllib.loads((FOLDER / f"{language}.toml").read_text("utf-8")) for language in page.LANGUAGES}
HOSTILE = '"><script>alert(1)</script><!--\u2028&amp;{0}{x}'


class Shown(HTMLParser):
    """The text that a page shows, and the elements in it."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.text, self._hidden = "", False
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        self._hidden = tag in ("script", "style")

    def handle_endtag(self, tag: str) -> None:
        self._hidden = False

    def handle_data(self, data: str) -> None:
        if not self._hidden:
            self.text += data + " "


# What is signed -------------------------------------------------------------------------------------------------------


@given(st.dictionaries(st.text(max_size=8), st.text(max_size=20) | st.integers(-(2**53), 2**53) | st.booleans()))
def test_there_is_one_way_of_writing_it_and_html_holds_it_as_it_is(value: dict[str, Any]) -> None:
    text = sealed.canonical(value)
    assert msgspec.json.decode(text) == value
    assert text.isascii() and not set("<>&") & set(text)
    assert sealed.canonical(dict(reversed(value.items()))) == text


@pytest.mark.parametrize("language", page.LANGUAGES)
def test_a_sheet_as_it_was_made_is_good(tmp_path: Path, language: str) -> None:
    made = sheet([line(1, name=HOSTILE), line(2, failed("digits", "no_digits"))], language=language)
    text = drawn(tmp_path, made)
    checked = sealed.check(text, page.draw)
    assert (checked.signed, checked.whole, checked.shown, checked.good) == (True, True, True, True)
    assert checked.fingerprint == identity.fingerprint(identity.public_of(tmp_path))
    assert msgspec.convert(checked.sealed.told, Sheet) == made


CHANGES: list[tuple[str, str, tuple[bool, bool, bool]]] = [
    # what stands in the file, what somebody makes of it, signed, whole, shown
    ("NOT ACCEPTED</div>", "ACCEPTED</div>", (True, True, False)),
    ("8.1 V", "9.1 V", (True, True, False)),
    ("</body>", "<p>All lines passed.</p></body>", (True, True, False)),
    ('"outcome":"failed"', '"outcome":"passed"', (True, False, False)),
    ('"verdict":"not_accepted","version":"0.2.0"}', '"verdict":"accepted","version":"0.2.0"}', (False, True, False)),
    ('"actor":"console:li"', '"actor":"console:wu"', (False, True, False)),
]


@pytest.mark.parametrize(("before", "after", "worth"), CHANGES)
def test_a_changed_file_is_told_apart(tmp_path: Path, before: str, after: str, worth: tuple[bool, bool, bool]) -> None:
    text = drawn(tmp_path, sheet([line(1), line(2, failed("digits", "no_digits"))]))
    assert before in text
    checked = sealed.check(text.replace(before, after), page.draw)
    assert (checked.signed, checked.whole, checked.shown) == worth and not checked.good


def test_a_sheet_signed_with_another_key_names_that_key(tmp_path: Path) -> None:
    """Whoever makes a sheet of his own can sign it, but not as this box; nor can he borrow the box's fingerprint."""
    for name in ("box", "forger"):
        (tmp_path / name).mkdir()
    made = sheet([line(1)])
    good, forged = signed(tmp_path / "box", made), signed(tmp_path / "forger", made)
    assert (
        sealed.check(page.draw(forged), page.draw).fingerprint != sealed.check(page.draw(good), page.draw).fingerprint
    )
    forger = identity.load_or_make(tmp_path / "forger")
    borrowed = forger.sign(sealed.PURPOSE, good.statement.encode()).hex()
    mixed = Sealed(good.sheet, good.statement, borrowed, forger.public.hex())
    assert not sealed.check(page.draw(mixed), page.draw).signed


@pytest.mark.parametrize(
    ("before", "after", "named"),
    [
        ('id="sheet"', 'id="sheep"', "`sheet`"),
        ('id="signature">"', 'id="signature">"xy', "hexadecimal"),
        ('id="statement">{', 'id="statement">[', "JSON"),
        ("linekeep acceptance 1", "linekeep acceptance 9", "format"),
    ],
)
def test_a_file_that_is_no_sheet_is_named(tmp_path: Path, before: str, after: str, named: str) -> None:
    text = drawn(tmp_path, sheet([line(1)]))
    with pytest.raises(SheetError, match=named):
        sealed.check(text.replace(before, after), page.draw)


def bare(box: identity.Identity, text: str, said: str) -> str:
    """A file that carries these texts, and the key's good signature."""
    parts = {
        "sheet": text, "statement": said, "public-key": f'"{box.public.hex()}"',
        "signature": f'"{box.sign(sealed.PURPOSE, said.encode()).hex()}"',
    }  # fmt: skip
    return "".join(f'<script type="application/json" id="{name}">{text}</script>' for name, text in parts.items())


@pytest.mark.parametrize(
    "change",
    [
        {"utc_offset_s": 10**9}, {"from_utc_ns": 10**30}, {"until_utc_ns": -(10**30)}, {"limits": {}},
        {"disk_free_bytes": 10**400}, {"lines": [line(1, failed("sound", "too_quiet", level_dbm0=10**400))]},
    ],
    ids=lambda change: next(iter(change)),
)  # fmt: skip
def test_numbers_that_nobody_can_write_are_no_sheet(tmp_path: Path, change: dict[str, Any]) -> None:
    box = identity.load_or_make(tmp_path)
    made = signed(tmp_path, sheet([line(1)]))
    text = sealed.canonical(msgspec.to_builtins({**made.told, **change}))
    said = sealed.canonical({**made.stated, "sha256": sealed.digest(text)})
    with pytest.raises(SheetError, match="cannot be shown"):
        sealed.check(bare(box, text, said), page.draw)


def test_a_sheet_nested_without_end_is_no_sheet(tmp_path: Path) -> None:
    nested = f'{{"format":"{sealed.FORMAT}","why":{"[" * 50_000}{"]" * 50_000}}}'
    with pytest.raises(SheetError, match="no JSON object"):
        sealed.check(bare(identity.load_or_make(tmp_path), nested, "{}"), page.draw)


def test_what_a_stranger_signed_cannot_break_the_drawing(tmp_path: Path) -> None:
    """It is good JSON with a good signature, but not what a sheet says."""
    box = identity.load_or_make(tmp_path)
    for value in ({"format": sealed.FORMAT}, {**msgspec.to_builtins(sheet([line(1)])), "more": 1}):
        text = sealed.canonical(value)
        said = sealed.canonical({"sha256": sealed.digest(text), "fingerprint": box.fingerprint})
        with pytest.raises(SheetError, match="does not say"):
            sealed.check(bare(box, text, said), page.draw)
    lacking = sheet([line(1, failed("sound", "volts_near"))])
    with pytest.raises(SheetError, match="lacks a figure"):
        drawn(tmp_path, lacking)
    with pytest.raises(SheetError, match="language"):
        drawn(tmp_path, replace(lacking, language="../etc"))


# What it shows --------------------------------------------------------------------------------------------------------


def test_everything_that_came_from_elsewhere_is_text(tmp_path: Path) -> None:
    made = sheet(
        [line(1, CheckSheet(
            check="caller", outcome="passed", reason="number_shown", required=False, values={"number": HOSTILE}
        ), name=HOSTILE)],
        box=HOSTILE, installer=HOSTILE, customer=HOSTILE, boards=[HOSTILE], zone=HOSTILE,
        alarms=[AlarmSheet(code=HOSTILE, severity="minor", object=HOSTILE, title=HOSTILE, raised_utc_ns=NOON,
                           acknowledged=False)],
        findings=[FindingSheet(what=HOSTILE, verdict="bad", figure=HOSTILE, remedy=HOSTILE)],
    )  # fmt: skip
    shown = Shown(drawn(tmp_path, made))
    assert shown.text.count(HOSTILE) >= 9
    scripts = [attrs for tag, attrs in shown.tags if tag == "script"]
    assert [one.get("type") for one in scripts] == ["application/json"] * 4


def test_it_needs_nothing_from_elsewhere(tmp_path: Path) -> None:
    text = drawn(tmp_path, sheet([line(1)]))
    assert not [attrs for _, attrs in Shown(text).tags if {"src", "href"} & attrs.keys()]
    assert "url(" not in text and "@import" not in text and "default-src 'none'" in text


@pytest.mark.parametrize(
    ("language", "verdicts", "sham"),
    [
        ("en", ("ACCEPTED", "NOT ACCEPTED", "INCOMPLETE"), "SIMULATED"),
        ("zh-CN", ("验收合格", "验收不合格", "验收未完成"), "模拟"),
    ],
)
def test_the_verdict_stands_at_the_top_and_simulated_lines_are_loud(
    tmp_path: Path, language: str, verdicts: tuple[str, str, str], sham: str
) -> None:
    lines = (line(1), line(1, failed("sealed", "gaps", gaps=2, gap_ms=40)), line(1, left_out("sound")))
    for tested, verdict in zip(lines, verdicts, strict=True):
        text = drawn(tmp_path, sheet([tested], language=language))
        (shown,) = re.findall(r'data-testid="verdict">([^<]*)<', text)
        assert shown == verdict and 'data-testid="simulated"' not in text
    text = drawn(tmp_path, sheet([line(1), line(2, simulated=True)], language=language))
    assert f"<small>{sham}</small>" in text and 'data-testid="simulated"' in text


def test_reasons_are_told_together_and_earlier_failures_too(tmp_path: Path) -> None:
    none = [left_out(name) for name in ("lifted", "digits", "sound", "sealed")]
    again = CheckSheet(check="sound", outcome="passed", reason="in_range", required=True, failed_before=2)
    shown = Shown(drawn(tmp_path, sheet([line(1, *none), line(2, again, left_out("caller"))]))).text
    assert "Lifted, Digits, Talk, Recording: no call was made for it" in shown
    assert "Talk: failed 2 times before" in shown and "Caller: no call" not in shown


# The words ------------------------------------------------------------------------------------------------------------


def test_both_languages_have_the_same_words() -> None:
    english, chinese = TABLES["en"], TABLES["zh-CN"]
    assert {table: set(words) for table, words in english.items()} == {
        table: set(words) for table, words in chinese.items() if table != "alarm"
    }
    assert set(chinese["alarm"]) == set(alarms.KINDS)
    for table, words in english.items():
        for word, text in words.items():
            assert sorted(re.findall(r"{(\w+)}", text)) == sorted(re.findall(r"{(\w+)}", chinese[table][word])), word


def test_every_check_reason_and_verdict_has_its_word() -> None:
    source = Path(acceptance.__file__).read_text("utf-8")
    reasons = set(re.findall(r'Result\(\s*"\w+",\s*"(\w+)"', source)) | {"said", "denied", *acceptance.USELESS}
    assert len(reasons) > 25 and reasons <= set(TABLES["en"]["reason"])
    assert set(CHECKS) == set(TABLES["en"]["check"]) == set(TABLES["en"]["check_long"])
    assert set(get_args(Verdict)) == set(TABLES["en"]["verdict"]) == set(TABLES["en"]["line_verdict"])
