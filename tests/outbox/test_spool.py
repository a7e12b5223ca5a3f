"""The spool: whole files for their owner alone, bounded, taken in once, broken ones put aside."""

import os
import stat

import pytest

from envoi.core.kind import Plain
from envoi.errors import OutboxUnavailableError
from envoi.outbox.spool import Spool
from tests.outbox.samples import NOW, an_event, count

FORM: dict[str, Plain] = {"kind": "note", "facts": {"title": "Grüße \ud800"}}


@pytest.fixture
def spool(tmp_path):
    return Spool(tmp_path / "deep" / "spool", max_bytes=500)


def taken(spool):
    return [entry.form for entry in spool.take()]


def test_what_is_kept_comes_back_in_order(spool):
    forms = [{"n": n} for n in range(5)]
    for form in forms:
        spool.keep(form)

    assert taken(spool) == forms


def test_a_form_comes_back_as_it_was(spool):
    spool.keep(FORM)

    assert taken(spool) == [FORM]


def test_an_empty_spool_makes_no_folder(spool):
    assert taken(spool) == []
    assert not spool.folder.exists()


def test_folder_and_files_are_for_their_owner_alone(spool):
    path = spool.keep(FORM)

    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert stat.S_IMODE(spool.folder.stat().st_mode) == 0o700
    assert list(spool.folder.iterdir()) == [path]


def test_a_file_is_taken_until_it_is_done(spool):
    spool.keep(FORM)
    [entry] = spool.take()
    [again] = spool.take()
    assert (again.uid, len(entry.uid)) == (entry.uid, 32)

    entry.done()
    entry.done()

    assert taken(spool) == []


def test_two_workers_that_take_the_same_file_store_one_event(spool, outbox):
    spool.keep(FORM)
    [mine], [theirs] = spool.take(), spool.take()

    with outbox.transaction() as tx:
        first = outbox.put_event(tx, an_event(), NOW, uid=mine.uid)
        second = outbox.put_event(tx, an_event(), NOW, uid=theirs.uid)

    assert (first.is_new, second.is_new) == (True, False)
    assert count(outbox, "envoi_event") == 1


def test_a_file_that_another_worker_took_meanwhile_is_passed_over(spool):
    first, second = spool.keep({"n": 1}), spool.keep({"n": 2})
    entries = spool.take()

    assert next(entries).path == first
    second.unlink()

    assert list(entries) == []


@pytest.mark.parametrize(
    "content",
    [b"{", b"[1]", b"\xff\xfe", b"", b"null"],
    ids=["torn", "list", "bytes", "empty", "null"],
)
def test_a_broken_file_is_put_aside_and_blocks_no_other(spool, content):
    broken = spool.keep({"n": 1})
    spool.keep({"n": 2})
    broken.write_bytes(content)

    assert taken(spool) == [{"n": 2}]
    assert broken.with_suffix(".broken").read_bytes() == content
    assert broken.with_suffix(".because").read_text()


def test_what_a_worker_rejects_is_put_aside_with_the_reason(spool):
    path = spool.keep(FORM)

    for entry in spool.take():
        entry.reject("no such kind")

    assert taken(spool) == []
    assert path.with_suffix(".because").read_text() == "no such kind\n"


def test_a_file_that_is_gone_cannot_be_put_aside_and_that_is_well(spool):
    spool.keep(FORM)
    [entry] = spool.take()
    entry.done()

    entry.reject("late")

    assert list(spool.folder.iterdir()) == []


def test_a_full_spool_refuses_with_the_setting_to_change(spool):
    spool.keep({"text": "x" * 300})

    with pytest.raises(OutboxUnavailableError, match="spool_max_mb"):
        spool.keep({"text": "x" * 300})
    assert len(taken(spool)) == 1


def test_a_spool_that_cannot_be_written_says_why(tmp_path):
    (tmp_path / "file").write_text("")
    spool = Spool(tmp_path / "file" / "spool")

    with pytest.raises(OutboxUnavailableError, match="cannot be written"):
        spool.keep(FORM)


def test_a_write_that_fails_leaves_no_half_file(spool, monkeypatch):
    def full(_descriptor):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)

    with pytest.raises(OutboxUnavailableError, match="No space left"):
        spool.keep(FORM)
    assert list(spool.folder.iterdir()) == []


def test_the_size_of_a_file_that_goes_meanwhile_is_nothing(spool, monkeypatch):
    path = spool.keep(FORM)
    monkeypatch.setattr(Spool, "_files", lambda self: [path.with_name("gone.json"), path])

    assert spool.keep({"n": 1}).exists()
