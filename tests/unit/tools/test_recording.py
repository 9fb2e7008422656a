"""The recording shows the tutorial as it is today, in the format that players read."""

import json

from tools import recording, tutorial


def events() -> list[tuple[float, str, str]]:
    head, *lines = recording.RECORDING.read_text().splitlines()
    assert json.loads(head)["version"] == 2
    return [tuple(json.loads(line)) for line in lines]


def test_every_command_of_the_tutorial_is_in_it() -> None:
    """In its order. Make it anew with: python -m tools.recording (root)."""
    text = "".join(text for _at, _kind, text in events())
    for kind, what in tutorial.steps():
        for command in tutorial.commands(what) if kind == "console" else ():
            shown = f"{command.prompt}\x1b[0m {command.line}\r\n"
            assert shown in text, f"{command.line} is not in the recording"
            text = text.partition(shown)[2]


def test_times_do_not_go_back() -> None:
    times = [at for at, _kind, _text in events()]
    assert times == sorted(times)
    assert {kind for _at, kind, _text in events()} == {"o"}


def test_nothing_of_the_machine_that_made_it_is_in_it() -> None:
    text = recording.RECORDING.read_text()
    assert "/tmp/" not in text
    assert "/etc/jsrpd/cluster.key written" in text


def test_long_waits_are_left_out_and_directories_shown_as_installed() -> None:
    made = recording.Recording({"/somewhere/etc": "/etc/jsrpd"})
    made.shown("/somewhere/etc/cluster.key", 600.0)
    assert made.events == [(recording.LONGEST_S, "/etc/jsrpd/cluster.key")]
