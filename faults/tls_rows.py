"""This room is what happens to TLS and to the sign-in (T1 to T4)."""

from collections.abc import Sequence
from itertools import pairwise

from envoi.core.delivery import State
from faults.certificates import Certificates, make_certificates
from faults.clock import Clock
from faults.process import Process
from faults.row import Row, Tally
from faults.site import Site
from faults.waiting import wait, wait_for

USERNAME, PASSWORD = "wiki", "not-for-everybody"
# The interval at which a relay that needs an operator is tried again.
OPERATOR_TRY_MS = 60_000


def secure(site: Site, tls: str = "starttls") -> Certificates:
    """Give the site a relay with TLS and sign-in, and settings that demand both."""
    files = make_certificates(site.folder)
    sign_in = {"username": USERNAME, "password": PASSWORD}
    site.relay.become(tls=tls, certificate=files.good, demands_auth=True, **sign_in)
    site.set(smtp={"host": "localhost", "tls": tls, "ca_file": files.ca_file, **sign_in})
    return files


def no_tls(site: Site, _seed: int) -> Tally:
    """STARTTLS hidden by somebody on the way, refused, or cut in the handshake."""
    secure(site)
    site.enqueue(site.count(60, 20))
    promises = Tally()
    for fault in ("starttls_stripped", "starttls_454", "tls_abort"):
        site.relay.at_connections([], then=fault)
        _expect_pause(site, promises, fault, "TLS")
    site.relay.at_connections([])
    return _expect_secure(site, promises)


def bad_certificate(site: Site, _seed: int) -> Tally:
    """A certificate that is out of date, for another host, or nobody's."""
    files = secure(site)
    site.enqueue(site.count(60, 20))
    promises = Tally()
    sign_in = {"username": USERNAME, "password": PASSWORD}
    for path, word in (
        (files.expired, "expired"),
        (files.wrong_host, "another host"),
        (files.self_signed, "self-signed"),
    ):
        site.relay.become(tls="starttls", certificate=path, demands_auth=True, **sign_in)
        _expect_pause(site, promises, word, word)
    site.relay.become(tls="starttls", certificate=files.good, demands_auth=True, **sign_in)
    return _expect_secure(site, promises)


def words_before_tls(site: Site, _seed: int) -> Tally:
    """Lines in clear behind `220 ready`: nobody may take them for the relay's own."""
    secure(site)
    site.relay.at_connections([], then="starttls_inject")
    site.enqueue(site.count(100, 20))
    return _expect_secure(site, Tally())


def no_sign_in(site: Site, _seed: int) -> Tally:
    """535, 454 and 530 to AUTH: one try per interval, no mail fails, the password is not told.

    Where the relay dislikes our sign-in the interval is a minute, so that no account is locked.
    454 says nothing about the password: there the interval is that of a relay out of reach.
    """
    secure(site)
    clock = Clock(site.folder)
    site.enqueue(site.count(60, 20))
    promises = Tally()
    for fault in ("auth_535", "auth_530"):
        site.relay.at_connections([], then=fault)
        _expect_slow_tries(site, promises, clock, fault)
    site.relay.at_connections([], then="auth_454")
    _expect_tries_apart(site, promises, "auth_454")
    site.relay.at_connections([])
    return _expect_secure(site, promises)


def _expect_slow_tries(site: Site, promises: Tally, clock: Clock, fault: str) -> None:
    before = len(site.relay.evidence.sign_ins)
    process = clock.work(site)
    first = f"a sign-in with {fault}"
    wait_for(lambda: len(site.relay.evidence.sign_ins) > before, first)
    for tries in (1, 2):
        again = f"sign-in {tries} with {fault}"
        wait_for(lambda n=before + tries: _has_signed_in(site, n, clock), again, tick_s=3.0)  # type: ignore[misc]
        wait(1.0)  # until the worker has heard the answer
        clock.move_ms(OPERATOR_TRY_MS - 10_000)
        wait(1.0)
        found = len(site.relay.evidence.sign_ins) - before
        promises.expect(found == tries, f"{tries} sign-ins in {tries} minutes; got {found}")
    _expect_untouched(site, promises, process, fault)


def _has_signed_in(site: Site, count: int, clock: Clock) -> bool:
    if len(site.relay.evidence.sign_ins) >= count:
        return True
    # Not in small steps: to a worker each one looks like a sleep, after which it waits a little.
    clock.move_ms(20_000)
    return False


def _expect_tries_apart(site: Site, promises: Tally, fault: str) -> None:
    before = len(site.relay.evidence.sign_ins)
    process = site.work()
    wait_for(lambda: len(site.relay.evidence.sign_ins) >= before + 4, f"four sign-ins with {fault}")
    moments = site.relay.evidence.sign_ins[before:]
    shortest_s = min(later - former for former, later in pairwise(moments))
    promises.expect(shortest_s >= 1, f"a second between two sign-ins; got {shortest_s:.2f}")
    _expect_untouched(site, promises, process, fault)


def _expect_pause(site: Site, promises: Tally, fault: str, word: str) -> None:
    process = site.work()
    wait_for(lambda: "cannot be used" in process.log, f"the relay told as out of use: {fault}")
    promises.expect(word in process.log, f"{word!r} in the reason for {fault}")
    promises.expect(not site.relay.evidence.sign_ins, f"no password shown to {fault}")
    _expect_untouched(site, promises, process, fault)


def _expect_untouched(site: Site, promises: Tally, process: Process, fault: str) -> None:
    promises.expect(process.stop() == 0, f"a worker with {fault} to end well")
    promises.expect(PASSWORD not in process.log, f"the password in no log, with {fault}")
    promises.expect(set(site.states) == {State.QUEUED}, f"all queued with {fault}")
    promises.expect(not site.relay.evidence.kept, f"no mail to a relay with {fault}")


def _expect_secure(site: Site, promises: Tally) -> Tally:
    found = site.finish()
    _add(found, promises.broken)
    copies = [copy for each in site.relay.evidence.copies.values() for copy in each]
    found.expect(not found.duplicated_excused, "no copy too many: nothing was in doubt")
    found.expect(all(copy.is_tls for copy in copies), "every mail encrypted")
    found.expect(all(copy.username == USERNAME for copy in copies), "every mail signed in")
    found.expect(set(site.states) == {State.SENT}, f"all sent at last; got {site.states}")
    return found


def _add(found: Tally, broken: Sequence[str]) -> None:
    found.broken += broken


ROWS = (
    Row(id="T1", title="STARTTLS hidden, refused, cut", run=no_tls),
    Row(id="T2", title="certificate expired, of another, of nobody", run=bad_certificate),
    Row(id="T3", title="lines in clear before TLS", run=words_before_tls),
    Row(id="T4", title="sign-in refused in three ways", run=no_sign_in),
)
