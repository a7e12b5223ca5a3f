"""A process whose mailer is running forks: everybody goes on, nothing is sent twice."""

import os
import subprocess
import sys

from tests.processes.site import CONNECTIONS, PATIENCE_S, ROOT, wait_until


def test_parent_and_children_deliver_and_the_parent_can_begin_again(site):
    program = subprocess.Popen(
        [sys.executable, str(ROOT / "tests" / "processes" / "forking.py")],
        env={**os.environ, "ENVOI_CONFIG": str(site.config)},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        assert program.stdout is not None
        assert program.stdout.readline() == "codes [0, 0, 0, 0, 0]\n"
        # The parent's worker, begun again, is the only one left.
        wait_until(lambda: len(site.ledger.kept) >= 11)
        program.communicate("\n", timeout=PATIENCE_S)
    finally:
        program.kill()
        program.communicate()

    assert program.returncode == 0
    site.wait_for_states(sent=11)
    assert site.live_workers == {}
    assert site.duplicates == 0
    assert site.ledger.most_open <= CONNECTIONS
