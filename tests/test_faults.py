"""The fault suite: its quick form finds nothing unexcused, and its judgement would find it."""

import json
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from envoi.addresses import parse_address
from envoi.core.delivery import Delivery, State
from envoi.core.kind import MailClass
from envoi.core.reason import Because, Why
from envoi.outbox.find import Listed
from faults.cell import Cell, Outcome
from faults.evidence import Evidence
from faults.program import listing, main
from faults.row import Tally
from faults.rows import ROWS
from faults.table import lines_of
from faults.verdict import Disruption, Truth, tally

ROOT = Path(__file__).parent.parent


@pytest.mark.timeout(900)
@pytest.mark.postgresql
def test_the_quick_form_finds_nothing_unexcused(tmp_path):
    figures = tmp_path / "figures.json"

    done = subprocess.run(
        [sys.executable, "-m", "faults", "--quick", "--json", str(figures)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )

    assert done.returncode == 0, done.stdout + done.stderr
    lines = json.loads(figures.read_text())
    assert {line["engine"] for line in lines} == {"sqlite", "postgresql"}
    assert {line["fault"] for line in lines} == {row.id for row in ROWS if row.is_quick}
    assert all(line["messages"] or line["not_here"] for line in lines)
    assert all(line["is_clean"] or line["not_here"] for line in lines)
    # A run in which no fault reached a mail would be clean as well.
    assert sum(line["duplicated_excused"] for line in lines) > 0


def test_every_row_has_a_name_of_its_own():
    assert len({row.id for row in ROWS}) == len(ROWS)


def test_a_row_that_nobody_knows_is_named(capsys):
    assert main(["--only", "R99"]) == 2
    assert "R99" in capsys.readouterr().err


def test_a_run_of_nothing_is_refused(capsys):
    """It would find nothing unexcused."""
    assert main(["--only", "S7, M1", "--engine", "sqlite"]) == 2
    assert "S7, M1" in capsys.readouterr().err


def test_a_row_takes_a_message_at_least(capsys):
    with pytest.raises(SystemExit, match="2"):
        main(["--only", "R14", "--messages", "-3"])
    assert "1 or more" in capsys.readouterr().err


ANN, BOB = "ann@x.test", "bob@x.test"


def listed(address: str, state: State) -> Listed:
    delivery = Delivery(
        address=parse_address(address),
        person="",
        sender="send",
        because=Because(why=Why.NAMED),
        mail_class=MailClass.NOTICE,
        state=state,
        due_at_ms=0,
        created_at_ms=0,
    )
    return Listed(
        delivery=delivery, kind="message", subject="", application="main", last_reply="",
        stored_at_ms=0, settled_at_ms=0, worker="", attempts=1, relay="", removed_at_ms=0,
    )  # fmt: skip


class Ledger:
    """Writes a relay's ledger; each line a tenth of a second behind the one before."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.at_s = 100.0
        self.write(what="connected", connection=1, open=1)

    def write(self, **line) -> None:
        self.at_s += 0.1
        with self.path.open("a") as file:
            file.write(json.dumps({"at_s": self.at_s, **line}) + "\n")

    def keep(self, address: str, *, digest="d", code=250) -> None:
        self.write(
            what="kept", recipient=address, message_id=f"<{address}>", digest=digest,
            connection=1, is_tls=False, username="",
        )  # fmt: skip
        if code:
            self.answer(address, code)

    def answer(self, address: str, code: int, stage="content") -> None:
        self.write(what="answer", recipient=address, stage=stage, code=code)


@pytest.fixture
def ledger(tmp_path):
    return Ledger(tmp_path / "relay.jsonl")


def judged(ledger, *deliveries, accepted=(ANN,), **more) -> Tally:
    truth = Truth(
        accepted=accepted, deliveries=deliveries, evidence=Evidence(ledger.path).read(), **more
    )
    return tally(truth)


def test_mail_that_was_sent_and_kept_once_is_clean(ledger):
    ledger.keep(ANN)

    assert judged(ledger, listed(ANN, State.SENT)).is_clean


@pytest.mark.parametrize("state", [State.QUEUED, State.HELD, State.UNCERTAIN, State.SENDING])
def test_what_waits_where_everybody_sees_it_is_not_lost(ledger, state):
    assert judged(ledger, listed(ANN, state)).is_clean


def test_lost_is_what_neither_side_knows(ledger):
    found = judged(ledger)

    assert (found.lost, found.is_clean) == (1, False)


@pytest.mark.parametrize("state", [State.CANCELLED, State.EXPIRED, State.SUPPRESSED])
def test_lost_is_what_ended_unasked(ledger, state):
    assert judged(ledger, listed(ANN, state)).lost == 1
    assert judged(ledger, listed(ANN, state), may_be=frozenset({state})).is_clean


@pytest.mark.parametrize("code", [None, 0, 451])
def test_sent_without_an_acknowledged_copy_is_false(ledger, code):
    if code is not None:
        ledger.keep(ANN, code=code)

    found = judged(ledger, listed(ANN, State.SENT))

    assert (found.falsely_sent, found.is_clean) == (1, False)


def test_sent_to_a_relay_that_lied_is_not_ours(ledger):
    ledger.write(what="lied", recipient=ANN)

    assert judged(ledger, listed(ANN, State.SENT)).is_clean


@pytest.mark.parametrize(("code", "wrongly"), [(None, 1), (450, 1), (550, 0)])
def test_failed_without_a_refusal_for_good_is_wrong(ledger, code, wrongly):
    if code is not None:
        ledger.answer(ANN, code, stage="rcpt")

    found = judged(ledger, listed(ANN, State.FAILED))

    assert (found.wrongly_failed, found.is_clean) == (wrongly, not wrongly)


def test_a_second_copy_of_an_acknowledged_mail_has_no_excuse(ledger):
    ledger.keep(ANN)
    ledger.keep(ANN)

    found = judged(ledger, listed(ANN, State.SENT))

    assert (found.duplicated, found.duplicated_excused, found.is_clean) == (1, 0, False)


@pytest.mark.parametrize("code", [0, 421, 451])
def test_a_second_copy_of_what_was_not_acknowledged_is_excused(ledger, code):
    ledger.keep(ANN, code=code)
    ledger.keep(ANN)

    found = judged(ledger, listed(ANN, State.SENT))

    assert (found.duplicated, found.duplicated_excused, found.is_clean) == (0, 1, True)


def test_a_second_copy_behind_an_answer_that_came_too_late_is_excused(ledger):
    ledger.keep(ANN, code=0)
    ledger.at_s += 5
    ledger.answer(ANN, 250)
    ledger.keep(ANN)

    assert judged(ledger, listed(ANN, State.SENT), content_timeout_s=5.0).is_clean
    assert judged(ledger, listed(ANN, State.SENT), content_timeout_s=6.0).duplicated == 1


KILL = Disruption(what="kill -9", excuses=1, began_at_s=100.35, ended_at_s=100.35)


@pytest.mark.parametrize(
    ("kill", "excused"),
    [
        (KILL, 1),
        (replace(KILL, excuses=0), 0),
        # Before the connection was there: nobody waited for this answer.
        (replace(KILL, began_at_s=99.0, ended_at_s=99.0), 0),
        # Long after it: the answer was noted by then.
        (replace(KILL, began_at_s=120.0, ended_at_s=120.0), 0),
    ],
    ids=["in between", "without contents", "before", "long after"],
)
def test_a_kill_excuses_as_many_copies_as_it_had_contents_under_way(ledger, kill, excused):
    ledger.keep(ANN)
    ledger.keep(ANN)

    found = judged(ledger, listed(ANN, State.SENT), disruptions=(kill,))

    assert (found.duplicated_excused, found.duplicated) == (excused, 1 - excused)


def test_one_excuse_is_used_once(ledger):
    for address in (ANN, ANN, BOB, BOB):
        ledger.keep(address)

    found = judged(
        ledger,
        *(listed(address, State.SENT) for address in (ANN, BOB)),
        accepted=(ANN, BOB),
        disruptions=(KILL,),
    )

    assert (found.duplicated_excused, found.duplicated) == (1, 1)


def test_a_copy_for_somebody_nobody_wrote_to_is_a_stray(ledger):
    ledger.keep(ANN)
    ledger.keep(BOB)

    found = judged(ledger, listed(ANN, State.SENT))

    assert (found.stray, found.is_clean) == (1, False)


def test_copies_that_differ_in_a_byte_are_counted(ledger):
    ledger.keep(ANN, code=0)
    ledger.keep(ANN, digest="other")

    found = judged(ledger, listed(ANN, State.SENT))

    assert (found.changed_message_id, found.is_clean) == (1, False)


def test_two_deliveries_of_one_pair_are_told(ledger):
    ledger.keep(ANN)

    assert not judged(ledger, *[listed(ANN, State.SENT)] * 2).is_clean


def test_what_breaks_the_protocol_is_told(ledger):
    ledger.keep(ANN)
    ledger.write(what="violation", words="bytes behind DATA")

    assert "bytes behind DATA" in judged(ledger, listed(ANN, State.SENT)).broken[0]


def test_a_row_that_hangs_is_ended_and_has_failed(capsys, monkeypatch, tmp_path):
    """The real runner, with a limit in which not even a worker starts."""
    hasty = tuple(replace(row, limit_s=0.2) for row in ROWS if row.id == "R9")
    monkeypatch.setattr("faults.program.ROWS", hasty)
    monkeypatch.setattr("faults.rows.ROWS", hasty)
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))

    assert main(["--only", "R9", "--engine", "sqlite"]) == 1

    told = capsys.readouterr().out
    assert "stopped after 0.2 s" in told
    assert 'make faults ARGS="--only R9 --engine sqlite --seed 1"' in told


def test_a_row_is_clean_only_without_anything_unexcused():
    assert Tally(messages=3, duplicated_excused=2, notes=["as expected"]).is_clean
    assert not any(
        one.is_clean
        for one in (
            Tally(lost=1),
            Tally(duplicated=1),
            Tally(wrongly_failed=1),
            Tally(falsely_sent=1),
            Tally(stray=1),
            Tally(changed_message_id=1),
            Tally(broken=["something"]),
        )
    )


@pytest.mark.parametrize(
    ("not_here", "broken", "is_clean"),
    [("", [], True), ("no such disk", [], None), ("no such disk", ["something"], False)],
    ids=["run", "not run here", "one round was"],
)
def test_what_was_not_run_here_is_not_called_clean(not_here, broken, is_clean):
    cell = Cell(
        row_id=ROWS[0].id, engine="sqlite", seed=1, is_quick=False, messages=0, folder="", url="",
        server="",
    )  # fmt: skip
    rounds = [Outcome(tally=Tally(broken=broken)), Outcome(not_here=not_here)]

    [line] = lines_of([(ROWS[0], cell, outcome) for outcome in rounds])

    assert line.figures()["is_clean"] is is_clean
    assert line.figures()["not_here"] == not_here


def test_the_page_names_every_row():
    """`python -m faults --list` prints them."""
    page = (ROOT / "docs" / "explanation" / "faults.md").read_text("utf-8")
    begin = page.index("| row | what goes wrong |")
    table = page[begin : page.index("\n\n", begin)].splitlines()[2:]

    assert table == listing().splitlines()
