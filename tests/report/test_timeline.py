"""The timeline: one clock, any thread, fit to read by people and by programs."""

import itertools
import json
import threading

import pytest

from ikelet_hil.timeline import NoTimeline, Timeline


def ticking() -> Timeline:
    return Timeline(clock=itertools.count(100.0, 0.25).__next__)


def test_entries_are_in_the_order_of_their_times() -> None:
    timeline = ticking()
    timeline.add("harness", "second")
    timeline.add_at(timeline.began, "power", "first", volts=5)
    timeline.add("serial", "third")
    assert [entry.text for entry in timeline.entries] == ["first", "second", "third"]
    assert timeline.entries[0].data == {"volts": 5}


def test_json_lines_count_from_the_beginning() -> None:
    timeline = ticking()
    timeline.add("udp", "a datagram", data=b"\x01\xff", number=3)
    (line,) = timeline.json_lines().splitlines()
    assert json.loads(line) == {
        "t": 0.25,
        "source": "udp",
        "text": "a datagram",
        "data": {"data": "01ff", "number": 3},
    }


def test_text_has_a_line_an_entry_whatever_the_board_said() -> None:
    timeline = ticking()
    timeline.add("serial", "\x1b[2Jboot\nrst:0x1 \x00")
    timeline.add("agent", "established → done")
    assert timeline.as_text() == (
        "  0.250000  serial   \\x1b[2Jboot\\x0arst:0x1 \\x00\n"
        "  0.500000  agent    established → done\n"
    )


def test_an_unknown_source_is_refused() -> None:
    with pytest.raises(ValueError, match="'wifi': one of serial, udp"):
        ticking().add("wifi", "what")


def test_threads_lose_nothing() -> None:
    timeline = Timeline()

    def tell() -> None:
        for number in range(200):
            timeline.add("harness", str(number))

    threads = [threading.Thread(target=tell) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    entries = timeline.entries
    assert len(entries) == 800
    assert entries == sorted(entries, key=lambda entry: entry.t)


def test_no_timeline_keeps_nothing() -> None:
    timeline = NoTimeline()
    timeline.add("harness", "step")
    assert timeline.entries == [] and timeline.as_text() == "" == timeline.json_lines()
