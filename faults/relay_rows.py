"""This room is what relays do wrong (R1 to R14, V1), one mail or one connection at a time."""

import json
import socket
from collections.abc import Generator, Sequence
from contextlib import ExitStack, contextmanager
from typing import Any

from envoi import Mailbox, ReadyMail
from envoi.addresses import parse_address
from envoi.core.delivery import State
from faults.row import Row, Tally
from faults.site import CONNECTIONS, Site
from faults.waiting import wait_for

# What `delivery.first_retry_s` is here, and so the shortest wait that a relay may see.
FIRST_RETRY_S = 1.0


def out_of_reach(site: Site, _seed: int) -> Tally:
    """A port that is closed, one that never answers, a name that is nobody's."""
    site.enqueue(site.count(100, 20))
    promises = Tally()
    port = site.relay.port
    site.set(smtp={"connect_timeout_s": 0.5})
    with deaf_port() as deaf:
        for host, there in (("127.0.0.1", deaf), ("relay.invalid", port), ("127.0.0.1", closed())):
            site.set(smtp={"host": host, "port": there, "tls": "none"})
            process = site.work()
            wait_for(lambda p=process: "cannot be used" in p.log, "the relay told as out of use")  # type: ignore[misc]
            promises.expect(process.stop() == 0, "a worker with a dead relay to end well")
    told = json.loads(site.command("outbox", "stats", "--json"))
    promises.expect(told["relays_down"], "the pause to be shown with its reason (I5)")
    promises.expect(set(site.states) == {State.QUEUED}, f"all queued; got {site.states}")
    site.set(smtp={"host": "127.0.0.1", "port": port})
    found = _none_twice(site.finish())
    found.broken += promises.broken
    return found


@contextmanager
def deaf_port() -> Generator[int]:
    """Listen on a port whose queue is full: whoever connects hears nothing at all."""
    with ExitStack() as stack:
        ear = stack.enter_context(socket.create_server(("127.0.0.1", 0), backlog=0))
        for _ in range(4):
            waiting = stack.enter_context(socket.socket())
            waiting.settimeout(0)
            waiting.connect_ex(ear.getsockname())
        yield ear.getsockname()[1]


def closed() -> int:
    """Return a port on which nobody listens."""
    with socket.create_server(("127.0.0.1", 0)) as ear:
        port: int = ear.getsockname()[1]
    return port


def rude_greetings(site: Site, _seed: int) -> Tally:
    """Whatever is said in place of a greeting, 554 too, is trouble of the relay and no mail's."""
    faults = ["greet_421", "greet_554", "garbage", "accept_close", "hang_greet", "slowloris"]
    return _with_connections(site, faults)


def rude_hellos(site: Site, _seed: int) -> Tally:
    """EHLO refused, not known, or answered without end."""
    found = _with_connections(site, ["ehlo_421", "ehlo_502", "long_reply"])
    found.expect(site.relay.evidence.kept >= found.messages, "HELO to do where EHLO is not known")
    return found


def _with_connections(site: Site, faults: Sequence[str]) -> Tally:
    site.set(smtp={"command_timeout_s": 0.5})
    site.relay.at_connections(faults)
    site.enqueue(site.count(100, 20))
    process = site.work()
    most = len(faults)
    wait_for(lambda: len(site.relay.evidence.connected) >= most, f"{most} connections tried")
    # Half a second is what these silences need, and too short for a busy machine.
    promised = process.stop() == 0
    site.set(smtp={"command_timeout_s": 60})
    found = _none_twice(site.finish())
    found.expect(promised, "a worker in trouble to end well")
    return found


def narrow_relay(site: Site, seed: int) -> Tally:
    """Fewer connections than we would like, few mails on each, and 421 in between."""
    count = site.count(300, 60)
    site.relay.become(max_connections=2, max_messages=10)
    site.relay.at_messages(site.dice(seed).choices(["", "rcpt_421"], [20, 1], k=count * 2))
    site.enqueue(count)
    found = _none_twice(site.finish())
    _expect_all(site, found, State.SENT, site.accepted)
    return found


def refusals_side_by_side(site: Site, seed: int) -> Tally:
    """MAIL refused or hung up on; recipients refused for now, for good and not, in one message."""
    count = site.count(200, 40)
    site.relay.at_messages(
        site.dice(seed).choices(["", "mail_451", "mail_drop"], [6, 1, 1], k=count)
    )
    well, bad, later = _mixed(site, count)
    process = site.work()
    tried = "two refusals of each that is refused for now"
    wait_for(lambda: _is_refused_twice(site, later), tried)
    settled = {State.SENT: len(well), State.FAILED: len(bad)}
    wait_for(lambda: settled.items() <= site.states.items(), f"{settled}", tick_s=0.05)
    code = process.stop()
    found = _none_twice(site.tally())
    found.expect(code == 0, "the worker to end well")
    _expect_all(site, found, State.SENT, well)
    _expect_all(site, found, State.FAILED, bad)
    _expect_all(site, found, State.QUEUED, later)
    _expect_back_off(site, found, later)
    _expect_told(site, found, later[0], "450")
    _expect_told(site, found, bad[0], "550")
    return found


def _mixed(site: Site, count: int) -> tuple[list[str], list[str], list[str]]:
    first = len(site.accepted)
    prefixes = ["", "", "perm-", "temp-"]
    names = [f"{prefixes[n % 4]}u{first + n}@x.test" for n in range(count)]
    for start in range(0, count, 20):
        site.mailer.send(site.mail(names[start : start + 20]), strict=True)
    site.accepted += names
    return (
        [name for name in names if name.startswith("u")],
        [name for name in names if name.startswith("perm-")],
        [name for name in names if name.startswith("temp-")],
    )


def _is_refused_twice(site: Site, addresses: Sequence[str]) -> bool:
    said = site.relay.evidence.said
    return all(len(said[address]) > 1 for address in addresses)


def nobody_wanted(site: Site, _seed: int) -> Tally:
    """Every recipient refused: no content leaves; and no more than one recipient at a time."""
    bad = site.enqueue(site.count(60, 20), "perm-")
    found = _none_twice(site.finish())
    _expect_all(site, found, State.FAILED, bad)
    site.relay.become(max_rcpts=1)
    boxes = tuple(Mailbox(parse_address(f"open{number}@x.test")) for number in range(4))
    mail = ReadyMail(to=boxes[:2], cc=boxes[2:], subject="To all of you", text="Hello.")
    site.mailer.send(mail, strict=True)
    seen = [str(box.address) for box in boxes]
    site.accepted += seen
    found = _none_twice(site.finish())
    _expect_all(site, found, State.SENT, seen)
    return found


def trouble_at_data(site: Site, seed: int) -> Tally:
    """DATA refused for now; hung up on behind 354; hung up on inside the content."""
    count = site.count(200, 40)
    faults = ["", "data_451", "data_421", "drop_on_354", "drop_in_data"]
    site.relay.at_messages(site.dice(seed).choices(faults, [6, 1, 1, 1, 1], k=count))
    site.enqueue(count)
    found = _none_twice(site.finish())
    _expect_all(site, found, State.SENT, site.accepted)
    return found


def answers_to_the_content(site: Site, seed: int) -> Tally:
    """4xx to the content is for now, 5xx for good and shown."""
    count = site.count(200, 40)
    faults = ["", "end_451", "end_452", "end_421"]
    site.relay.at_messages(site.dice(seed).choices(faults, [6, 1, 1, 1], k=count))
    well = site.enqueue(count)
    bad = site.enqueue(5, "dataperm-")
    found = _none_twice(site.finish())
    _expect_all(site, found, State.SENT, well)
    _expect_all(site, found, State.FAILED, bad)
    _expect_told(site, found, bad[0], "554")
    _expect_back_off(site, found, well)
    return found


def cut_behind_the_dot(site: Site, seed: int) -> Tally:
    """Hung up on behind the final dot, with the mail kept or thrown away."""
    count = site.count(300, 60)
    site.relay.at_messages(site.dice(seed).choices(["", "drop_kept", "drop_unkept"], k=count))
    site.enqueue(count)
    found = site.finish()
    found.expect(found.duplicated_excused, "the relay to have kept mail that it did not confirm")
    _expect_all(site, found, State.SENT, site.accepted)
    return found


def late_answer(site: Site, _seed: int) -> Tally:
    """250 later than we wait; then later than most would wait, and we do."""
    site.set(smtp={"content_timeout_s": 1}, delivery={"uncertain_wait_s": 2})
    site.relay.become(slow_s=1.5)
    site.relay.at_messages(["slow_ack", "hang_kept"])
    site.enqueue(site.count(60, 20))
    process = site.work()
    unknown = "the outcome shown as unknown"
    wait_for(lambda: State.UNCERTAIN in site.states, unknown)
    site.wait_until_settled()
    process.stop()
    before = site.tally().duplicated_excused
    site.set(smtp={"content_timeout_s": 600})
    site.relay.at_messages(["slow_ack"] * CONNECTIONS)
    site.enqueue(20)
    found = site.finish()
    found.expect(before > 0, "the late answers to cost a copy")
    found.expect(found.duplicated_excused == before, "patience to cost none")
    return found


def kept_and_refused(site: Site, seed: int) -> Tally:
    """The relay keeps the mail and says that it did not."""
    count = site.count(200, 40)
    faults = ["", "kept_451", "kept_421"]
    site.relay.at_messages(site.dice(seed).choices(faults, [4, 1, 1], k=count))
    site.enqueue(count)
    found = site.finish()
    found.expect(found.duplicated_excused, "the relay to have kept what it refused")
    return found


def hung_up_behind_250(site: Site, seed: int) -> Tally:
    """Hung up on behind 250; an idle connection that is dead without our knowledge."""
    count = site.count(200, 40)
    site.relay.at_messages(site.dice(seed).choices(["", "close_after_250"], k=count))
    site.enqueue(count)
    process = site.work()
    site.wait_until_settled()
    idle = "idle connections"
    wait_for(lambda: site.relay.evidence.open > 0, idle)
    site.relay.cut()
    site.enqueue(20)
    site.wait_until_settled()
    code = process.stop()
    found = _none_twice(site.tally())
    found.expect(code == 0, "the worker to end well")
    _expect_all(site, found, State.SENT, site.accepted)
    return found


def replies_out_of_step(site: Site, seed: int) -> Tally:
    """One reply too many behind MAIL or behind 354, with recipients refused for good."""
    count = site.count(200, 40)
    faults = ["", "desync", "desync_data"]
    site.relay.at_messages(site.dice(seed).choices(faults, [4, 1, 1], k=count))
    well = site.enqueue(count // 2)
    bad = site.enqueue(count // 2, "perm-")
    found = site.finish()
    _expect_all(site, found, State.SENT, well)
    _expect_all(site, found, State.FAILED, bad)
    return found


def lying_relay(site: Site, seed: int) -> Tally:
    """250 for a mail that is thrown away: beyond us, but what was said is kept."""
    count = site.count(100, 40)
    site.relay.at_messages(site.dice(seed).choices(["", "lie_250"], [4, 1], k=count))
    site.enqueue(count)
    found = _none_twice(site.finish())
    lied = site.relay.evidence.lied
    found.expect(lied, "the relay to lie")
    _expect_told(site, found, lied[0], "queued as")
    found.note(f"the relay threw away {len(lied)} mails that it had acknowledged")
    return found


def small_relay(site: Site, _seed: int) -> Tally:
    """Neither 8BITMIME nor SMTPUTF8, and little room."""
    site.relay.become(extensions=["PIPELINING", "SIZE 20000"])
    text = "Grüße aus Köln, Ærø und 東京.\n" * 20
    beyond = "grüße@x.test"
    names = [*(f"u{number}@x.test" for number in range(site.count(60, 20))), beyond]
    boxes = tuple(Mailbox(parse_address(name)) for name in names)
    site.mailer.send(ReadyMail(bcc=boxes, subject="Grüße", text=text), strict=True)
    large = "large@x.test"
    box = Mailbox(parse_address(large))
    site.mailer.send(ReadyMail(to=(box,), subject="Large", text="word " * 8_000), strict=True)
    site.accepted += [*names, large]
    process = site.work()
    site.wait_until_settled()
    process.stop()
    found = _none_twice(site.tally(may_fail=[large]))
    _expect_all(site, found, State.SENT, names[:-1])
    _expect_all(site, found, State.HELD, [beyond])
    _expect_all(site, found, State.FAILED, [large])
    _expect_told(site, found, beyond, "SMTPUTF8")
    return found


# What several rows promise.


def _expect_all(site: Site, found: Tally, state: State, addresses: Sequence[str]) -> None:
    others = {
        str(one.delivery.address): one.delivery.state
        for one in site.deliveries
        if str(one.delivery.address) in set(addresses) and one.delivery.state is not state
    }
    found.expect(not others, f"{state} for {len(addresses)}; got {dict(list(others.items())[:3])}")


def _expect_back_off(site: Site, found: Tally, addresses: Sequence[str]) -> None:
    shortest_s = site.relay.evidence.shortest_wait_s(addresses)
    found.expect(
        shortest_s < 0 or shortest_s >= FIRST_RETRY_S,
        f"at least {FIRST_RETRY_S:g} s between a refusal and the next try; got {shortest_s:.2f}",
    )


def _expect_told(site: Site, found: Tally, address: str, words: str) -> None:
    """Expect state, attempts and the relay's words where an operator looks (I5)."""
    listed = json.loads(site.command("outbox", "list", "--to", address, "--json"))
    shown: dict[str, Any] = json.loads(
        site.command("outbox", "show", str(listed[0]["id"]), "--json")
    )
    told = json.dumps(shown["attempt_list"])
    found.expect(words in told, f"{words!r} among what was tried for {address}; got {told[:200]}")


def _none_twice(found: Tally) -> Tally:
    found.expect(not found.duplicated_excused, "no copy too many: nothing was in doubt")
    return found


ROWS = (
    Row(id="R1", title="refused, never answered, no such name", run=out_of_reach),
    Row(id="R2", title="anything in place of a greeting", run=rude_greetings),
    Row(id="R3", title="few connections, few mails each, 421", run=narrow_relay),
    Row(id="R4", title="EHLO refused, unknown, endless", run=rude_hellos),
    Row(
        id="R5", title="MAIL and RCPT refused, per recipient", run=refusals_side_by_side,
    ),
    Row(id="R6", title="all recipients refused; too many", run=nobody_wanted),
    Row(id="R7", title="DATA refused, cut at 354, cut inside", run=trouble_at_data),
    Row(id="R8", title="4xx and 5xx to the content", run=answers_to_the_content),
    Row(
        id="R9", title="cut behind the final dot, kept or not", run=cut_behind_the_dot,
        is_quick=True,
    ),
    Row(id="R10", title="250 later than we wait", run=late_answer),
    Row(id="R11", title="kept, then 451 or 421", run=kept_and_refused),
    Row(id="R12", title="250, then gone; idle and dead", run=hung_up_behind_250),
    Row(id="R13", title="one reply too many", run=replies_out_of_step),
    Row(id="R14", title="250, and thrown away", run=lying_relay),
    Row(id="V1", title="no 8BITMIME, no SMTPUTF8, small SIZE", run=small_relay),
)  # fmt: skip
