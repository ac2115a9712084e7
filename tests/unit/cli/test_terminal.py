"""Test that a container's text cannot control the terminal that shows it."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from logferry_cli.line_joiner import Line
from logferry_cli.tail import Screen, Style
from logferry_cli.terminal import RESET, sanitize_line, sanitize_word

ATTACKS = {
    "window title": "\x1b]0;pwned\x07",
    "window title by ST": "\x1b]2;pwned\x1b\\",
    "icon name": "\x1b]1;pwned\x07",
    "title report, which types it": "\x1b[21t",
    "set and report title": "\x1b]0;rm -rf ~\x07\x1b[21t\r",
    "clipboard write": "\x1b]52;c;cm0gLXJmIH4K\x07",
    "clipboard read": "\x1b]52;c;?\x07",
    "hyperlink": "\x1b]8;;http://evil\x1b\\click\x1b]8;;\x1b\\",
    "working folder": "\x1b]7;file://host/etc\x07",
    "desktop notification": "\x1b]9;hello\x07",
    "notification of rxvt": "\x1b]777;notify;a;b\x07",
    "palette change": "\x1b]4;1;rgb:00/00/00\x07",
    "palette query": "\x1b]4;1;?\x07",
    "foreground query": "\x1b]10;?\x07",
    "cursor colour": "\x1b]12;red\x07",
    "iterm file": "\x1b]1337;File=name=YQ==;inline=1:AAAA\x07",
    "iterm profile": "\x1b]1337;SetProfile=x\x07",
    "shell integration": "\x1b]133;A\x07",
    "unfinished OSC": "\x1b]0;swallows the rest",
    "device status": "\x1b[5n",
    "cursor position report": "\x1b[6n",
    "device attributes": "\x1b[c",
    "secondary attributes": "\x1b[>c",
    "terminal id": "\x1bZ",
    "answerback": "\x05",
    "request terminfo": "\x1bP+q544e\x1b\\",
    "request setting": '\x1bP$q"p\x1b\\',
    "define keys": "\x1bP0;1|17/6c73\x1b\\",
    "sixel": "\x1bPq#0;2;0;0;0~\x1b\\",
    "tmux passthrough": "\x1bPtmux;\x1b\x1b]0;x\x07\x1b\\",
    "screen title": "\x1bkpwned\x1b\\",
    "kitty graphics": "\x1b_Gf=100;AAAA\x1b\\",
    "privacy message": "\x1b^hidden\x1b\\",
    "start of string": "\x1bXhidden\x1b\\",
    "clear screen": "\x1b[2J",
    "clear scrollback": "\x1b[3J",
    "clear line": "\x1b[2K",
    "cursor up, to rewrite": "\x1b[1A\x1b[2Kforged",
    "cursor home": "\x1b[H",
    "cursor to column": "\x1b[1G",
    "save and restore cursor": "\x1b7\x1b8",
    "scroll region": "\x1b[1;1r",
    "scroll up": "\x1b[50S",
    "insert lines": "\x1b[5L",
    "delete characters": "\x1b[20P",
    "repeat character": "a\x1b[999999999b",
    "alternate screen": "\x1b[?1049h",
    "hide cursor": "\x1b[?25l",
    "mouse reports": "\x1b[?1003h",
    "bracketed paste": "\x1b[?2004h",
    "reverse screen": "\x1b[?5h",
    "line wrap off": "\x1b[?7l",
    "132 columns": "\x1b[?3h",
    "keyboard lock": "\x1b[2h",
    "insert mode": "\x1b[4h",
    "reset": "\x1bc",
    "soft reset": "\x1b[!p",
    "alignment test": "\x1b#8",
    "double height": "\x1b#3",
    "character set": "\x1b(0lqqk",
    "shift out": "\x0eabc",
    "application keypad": "\x1b=",
    "media copy, which prints": "\x1b[5i",
    "window iconify": "\x1b[2t",
    "window resize": "\x1b[8;1;1t",
    "LEDs": "\x1b[1q",
    "C1 CSI": "\x9b2J",
    "C1 OSC": "\x9d0;pwned\x9c",
    "C1 DCS": "\x90q\x9c",
    "C1 next line": "a\x85b",
    "backspace over": "secret\b\b\b\b\b\bforged",
    "carriage return over": "real\rforged",
    "line feed": "one\ntwo",
    "vertical tab": "one\x0btwo",
    "form feed": "one\x0ctwo",
    "NUL": "a\0b",
    "bell": "\x07" * 5,
    "DEL": "a\x7fb",
    "cancel inside a sequence": "\x1b[3\x182J",
    "escape inside a sequence": "\x1b[3\x1b[2J",
    "newline inside a colour": "\x1b[3\n1m",
    "colour with a hidden private mode": "\x1b[?31m",
    "colour with an intermediate": "\x1b[31 m",
    "xterm key modifiers": "\x1b[>4;1m",
    "conceal": "\x1b[8mhidden",
    "blink": "\x1b[5mlook",
    "conceal among colours": "\x1b[31;8mhidden",
    "endless parameters": "\x1b[" + "1;" * 5000 + "m",
    "right-to-left override": "\u202egnp.exe",
    "isolate": "\u2066a\u2069",
    "line separator": "a\u2028b",
    "tag characters": "a\U000e0041b",
    "interlinear annotation": "\ufff9a\ufffab\ufffb",
}

COLOUR = re.compile(r"\x1b\[[0-9;:]*m")
FORBIDDEN = re.compile("[\x00-\x08\x0a-\x1f\x7f-\x9f\u2028-\u202e\u2066-\u2069\ufff9-\ufffb\U000e0000-\U000e007f]")


def controls_terminal(text: str) -> bool:
    """Report whether anything but plain colours is left."""
    colours = COLOUR.findall(text)
    concealing = any({"8", "5", "6"} & set(re.split("[;:]", found[2:-1])) for found in colours)
    return concealing or bool(FORBIDDEN.search(COLOUR.sub("", text)))


@pytest.mark.parametrize("attack", ATTACKS.values(), ids=ATTACKS.keys())
def test_attack_is_shown_and_not_executed(attack: str) -> None:
    """The surrounding text stays readable, and colours end with the line."""
    shown = sanitize_line(f"before {attack} after")
    assert not controls_terminal(shown)
    assert shown.startswith("before ")
    assert shown.removesuffix(RESET).endswith(" after")
    assert "\x1b" not in sanitize_line(f"before {attack} after", colours=False)
    assert not FORBIDDEN.search(sanitize_word(attack))


@given(st.text(st.characters(codec="utf-8") | st.sampled_from("\x1b\x1b[];?m0123456789\x07\r\n\x9b\x9d")))
def test_no_text_controls_the_terminal(text: str) -> None:
    """Of any text only colours remain, and a reset ends them."""
    shown = sanitize_line(text)
    assert not controls_terminal(shown)
    assert ("\x1b" in shown) == shown.endswith(RESET)


@given(st.text(st.characters(exclude_categories=["Cc", "Cf", "Cs", "Zl", "Zp", "Cn"])))
def test_ordinary_text_is_unchanged(text: str) -> None:
    """Every script reads as it was written."""
    assert sanitize_line(text) == text


@pytest.mark.parametrize(
    "colour",
    ["0", "", "1;31", "38;5;208", "48;2;1;2;3", "38:2::1:2:3", "4:3", "90;107", "01;31", "0;1;4;38;5;9;48;5;0"],
)
def test_colours_stay(colour: str) -> None:
    """A build's green and red are information."""
    shown = sanitize_line(f"\x1b[{colour}mtext\x1b[m")
    assert len(COLOUR.findall(shown)) == 3
    assert COLOUR.sub("", shown) == "text"


def test_colour_with_blink_keeps_the_colour() -> None:
    """Only what is not allowed is removed."""
    assert sanitize_line("\x1b[1;5;31mx") == "\x1b[1;31mx\x1b[0m"
    assert sanitize_line("\x1b[38;5;5;8;32mx") == "\x1b[38;5;5;32mx\x1b[0m"


def test_line_feed_cannot_forge_a_line() -> None:
    """In deliberately merged lines each part has its own gutter."""
    screen = Screen(Style(raw=False, times=False, gutter=True, colours=True), None, None)  # type: ignore[arg-type]
    text = screen.text(Line(1, 0, "stderr", "Traceback\n  File\r\n● container exited"))
    bar = "\x1b[31m┃\x1b[0m "
    assert text == f"{bar}Traceback\n{bar}  File\n{bar}● container exited\n"


def test_system_entrys_detail_is_neutralised() -> None:
    """Its sentence quotes engines and containers."""
    screen = Screen(Style(raw=True, times=False, gutter=False, colours=True), None, None)  # type: ignore[arg-type]
    text = screen.text(Line(1, 0, "system", '{"event":"notice","code":"driver","detail":"\\u001b[2Jx"}'))
    assert text == "logferry: ␛[2Jx\n"
