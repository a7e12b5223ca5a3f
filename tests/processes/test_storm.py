"""One error in several processes at once: counted exactly, mailed seldom."""

import subprocess
import sys

from envoi.mailer import Mailer
from envoi.outbox.incidents import incidents

PROCESSES, EACH = 4, 50
PROGRAM = f"""
import sys
from envoi import Mailer

mailer = Mailer.from_file(sys.argv[1])
for number in range({EACH}):
    mailer.report(LookupError(f"page {{number}} is gone"))
mailer.close()
"""


def test_a_storm_in_several_processes_is_counted_exactly(outbox_url, tmp_path):
    config = tmp_path / "envoi.toml"
    config.write_text(
        f'[outbox]\nurl = "{outbox_url}"\n[errors]\nto = ["ops@example.test"]\n', "utf-8"
    )
    storm = [
        subprocess.Popen(
            [sys.executable, "-c", PROGRAM, str(config)], stderr=subprocess.DEVNULL, cwd=tmp_path
        )
        for _ in range(PROCESSES)
    ]
    assert [process.wait(50) for process in storm] == [0] * PROCESSES
    mailer = Mailer.from_file(config)
    worker = mailer.make_worker()
    worker.run_until_idle()  # what found no room went to the spool
    worker.drain()
    with mailer.outbox.reading() as tx:
        counts = [one.count for one in incidents(tx, "main")]
        mails = len(tx.execute("SELECT id FROM envoi_delivery", {}))
    mailer.close()

    assert counts == [PROCESSES * EACH]
    # At most the 1st, 2nd, 4th ... 128th of 200: what waits together is told together.
    assert 1 <= mails <= 8


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
