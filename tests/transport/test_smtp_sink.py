"""Postfix's own test server takes our mail, where Postfix is installed."""

import shutil
import socket
import subprocess
import time

import pytest

from envoi.core.delivery import Reply
from tests.transport.rounds import options, parcel, send

SINK = shutil.which("smtp-sink", path="/usr/sbin:/usr/lib/postfix/sbin:/usr/bin")


@pytest.mark.skipif(SINK is None, reason="Postfix's smtp-sink is not installed")
def test_smtp_sink_takes_our_mail():
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port = probe.getsockname()[1]
    with subprocess.Popen([str(SINK), "-u", "nobody", f"127.0.0.1:{port}", "100"]) as sink:
        try:
            wait_until_open(port)
            result = send(options(port, connections=2), *(parcel(n) for n in range(1, 101)))
        finally:
            sink.terminate()

    assert {o.code for o in result.outcomes.values() if isinstance(o, Reply)} == {250}
    assert len(result.outcomes) == 100


def wait_until_open(port):
    end = time.monotonic() + 10
    while time.monotonic() < end:
        with socket.socket() as sock:
            if sock.connect_ex(("127.0.0.1", port)) == 0:
                return
    pytest.fail("smtp-sink did not open its port")
