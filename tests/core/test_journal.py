"""Facts become one log line each, whatever their values hold."""

import logging
import re
import string
from threading import Thread

import pytest

from envoi.journal import _TABLE, MAX_VALUE_CHARS, Fact, Journal, escaped
from tests.core.samples import HOSTILE_LINES


def lines_of(caplog) -> list[str]:
    return [record.getMessage() for record in caplog.records]


@pytest.fixture(autouse=True)
def every_level(caplog):
    caplog.set_level(logging.DEBUG, logger="envoi")


@pytest.mark.parametrize("fact", list(Fact))
def test_every_fact_has_a_level_and_words(fact):
    level, words = _TABLE[fact]

    assert level in {logging.DEBUG, logging.INFO, logging.WARNING, logging.ERROR}
    assert words.isprintable()
    assert re.fullmatch(r"[a-z]+\.[a-z_]+", fact)


def test_the_table_has_nothing_else():
    assert set(_TABLE) == set(Fact)


def fields_of(fact: Fact) -> list[str]:
    return [name for _, name, _, _ in string.Formatter().parse(_TABLE[fact][1]) if name]


@pytest.mark.parametrize("fact", list(Fact))
def test_no_field_of_any_fact_can_forge_a_second_line(fact, caplog):
    forged = "x\r\nINFO admin logged in\x1b[2J\u2028\u202e\x85\ud800"

    Journal().note(fact, **dict.fromkeys(fields_of(fact), forged))

    [line] = lines_of(caplog)
    assert line.isprintable()
    assert line.count("INFO admin") == len(fields_of(fact))
    line.encode("utf-8")


@pytest.mark.parametrize("value", HOSTILE_LINES.values(), ids=HOSTILE_LINES)
def test_a_hostile_value_is_escaped(value):
    assert escaped(value).isprintable()


def test_a_fact_is_stated_in_the_words_of_the_table(caplog):
    Journal().note(Fact.DELIVERY_SENT, delivery=7, address="ann@example.org", because="250 ok")

    [record] = caplog.records
    assert record.getMessage() == "delivery 7 to ann@example.org sent: 250 ok"
    assert record.levelno == logging.INFO
    assert record.fact == "delivery.sent"
    assert record.fields == {"delivery": "7", "address": "ann@example.org", "because": "250 ok"}


def test_a_field_left_out_reads_as_nothing(caplog):
    Journal().note(Fact.DELIVERY_SENT, delivery=7)

    assert lines_of(caplog) == ["delivery 7 to  sent: "]


def test_a_value_is_never_taken_for_a_format(caplog):
    Journal().note(Fact.WORKER_STOPPED, worker="{fact} %s {0}")

    assert lines_of(caplog) == ["worker {fact} %s {0} stopped"]


def test_a_long_value_is_cut_and_says_so():
    assert escaped("x" * (MAX_VALUE_CHARS + 7)) == "x" * MAX_VALUE_CHARS + " [7 more characters]"
    assert escaped("x" * MAX_VALUE_CHARS) == "x" * MAX_VALUE_CHARS


def test_what_no_logger_wants_is_counted_and_told_to_subscribers_all_the_same(caplog):
    caplog.set_level(logging.CRITICAL, logger="envoi")
    journal, heard = Journal(), []
    journal.subscribe(lambda fact, fields: heard.append((fact, fields)))

    journal.note(Fact.EVENT_UNHEARD, event=1)

    assert caplog.records == []
    assert heard == [(Fact.EVENT_UNHEARD, {"event": 1})]
    assert journal.counts() == {Fact.EVENT_UNHEARD: 1}


def test_counts_of_several_threads_add_up():
    journal = Journal("envoi.quiet")
    logging.getLogger("envoi.quiet").setLevel(logging.CRITICAL)

    def note_many():
        for _ in range(500):
            journal.note(Fact.DELIVERY_SENT)

    threads = [Thread(target=note_many) for _ in range(4)]

    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert journal.counts() == {Fact.DELIVERY_SENT: 2_000}


def test_a_journal_may_speak_under_another_name(caplog):
    caplog.set_level(logging.DEBUG, logger="myapp.mail")

    Journal("myapp.mail").note(Fact.WORKER_STOPPED, worker="w")

    assert [record.name for record in caplog.records] == ["myapp.mail"]
