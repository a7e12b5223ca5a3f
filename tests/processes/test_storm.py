"""One error in several processes at once: counted exactly, mailed seldom."""

import subprocess
import sys

from envoi.core.error_digest import DIGEST_MS
from envoi.mailer import Mailer
from envoi.outbox.incidents import BATCH_ROWS, incidents

PROCESSES, EACH = 4, 50
PROGRAM = f"""
import sys
from envoi import Mailer

mailer = Mailer.from_file(sys.argv[1])
for number in range({EACH}):
    # Numbers are no part of what makes errors equal, letters are.
    word = "".join(chr(97 + int(digit)) for digit in sys.argv[2] + str(number))
    mailer.report(LookupError(f"page {{word if sys.argv[2] else number}} is gone"))
mailer.close()
"""


def storm(outbox_url, folder, names):
    """Let as many processes report as there are names; return a mailer when all is stored."""
    config = folder / "envoi.toml"
    config.write_text(
        f'[outbox]\nurl = "{outbox_url}"\n[errors]\nto = ["ops@example.test"]\n', "utf-8"
    )
    processes = [
        subprocess.Popen(
            [sys.executable, "-c", PROGRAM, str(config), name],
            stderr=subprocess.DEVNULL,
            cwd=folder,
        )
        for name in names
    ]
    assert [process.wait(50) for process in processes] == [0] * len(processes)
    mailer = Mailer.from_file(config)
    work(mailer)  # what found no room went to the spool
    return mailer


def work(mailer):
    worker = mailer.make_worker()
    worker.run_until_idle()
    worker.drain()


def mails(mailer):
    """How many mails of each kind there are."""
    with mailer.outbox.reading() as tx:
        return dict(
            map(
                tuple,
                tx.execute(
                    """SELECT m.kind, COUNT(*) FROM envoi_delivery d
                    JOIN envoi_message m ON m.id = d.message_id GROUP BY m.kind""",
                    {},
                ),
            )
        )


def test_a_storm_in_several_processes_is_counted_exactly(outbox_url, tmp_path):
    mailer = storm(outbox_url, tmp_path, [""] * PROCESSES)
    with mailer.outbox.reading() as tx:
        counts = [one.count for one in incidents(tx, "main")]
    told = mails(mailer)
    mailer.close()

    assert counts == [PROCESSES * EACH]
    # At most the 1st, 2nd, 4th ... 128th of 200: what waits together is told together.
    assert 1 <= told.pop("error_report") <= 8
    assert told == {}


def test_different_errors_of_several_processes_are_twenty_mails_and_a_digest(outbox_url, tmp_path):
    mailer = storm(outbox_url, tmp_path, map(str, range(PROCESSES)))
    with mailer.outbox.reading() as tx:
        before = incidents(tx, "main", limit=1_000)
    told = mails(mailer)
    clock = mailer.parts.clock
    mailer.parts.clock = lambda: clock() + DIGEST_MS + 60_000
    for _ in range(PROCESSES * EACH // BATCH_ROWS + 2):
        work(mailer)
    after = mails(mailer)
    with mailer.outbox.reading() as tx:
        subjects = [row[0] for row in tx.execute(DIGESTS, {})]
        left = sum(one.held_back for one in incidents(tx, "main", limit=1_000))
    mailer.close()

    different = PROCESSES * EACH - 20
    assert sum(one.count for one in before) == PROCESSES * EACH
    assert told == {"error_report": 20}
    assert after == {"error_report": 20, "error_digest": 1}
    assert subjects == [f"Error: {different} more errors, {different} different ones"]
    assert left == 0


DIGESTS = "SELECT subject FROM envoi_message WHERE kind = 'error_digest'"


FORKING = """
import os, sys
from envoi import Mailer

mailer = Mailer.from_file(sys.argv[1])
mailer.report(LookupError("before"), wait_s=0)
child = os.fork()
for number in range(3):
    mailer.report(LookupError(f"page {number} is gone"), wait_s=0)
mailer.close()
if not child:
    os._exit(0)
assert os.waitpid(child, 0)[1] == 0
"""


def test_a_fork_leaves_what_waits_to_the_parent_and_the_child_reports_by_itself(
    outbox_url, tmp_path
):
    config = tmp_path / "envoi.toml"
    config.write_text(
        f'[outbox]\nurl = "{outbox_url}"\n[errors]\nto = ["ops@example.test"]\n', "utf-8"
    )

    done = subprocess.run(
        [sys.executable, "-c", FORKING, str(config)], capture_output=True, timeout=60, check=False
    )

    mailer = Mailer.from_file(config)
    with mailer.outbox.reading() as tx:
        counts = {one.message[:4]: one.count for one in incidents(tx, "main")}
    mailer.close()
    assert done.returncode == 0, done.stderr
    assert counts == {"befo": 1, "page": 6}
