"""This room counts what is in doubt after a kill, and looks at what each class of mail does then.

A worker may have one content under way per connection whose answer it has not written down, or
as many as `smtp.window` says. That many deliveries a crash leaves in doubt, and no more.
"""

from collections.abc import Callable

from envoi.core.delivery import State
from envoi.core.kind import MailClass
from faults.row import Row, Tally
from faults.site import CONNECTIONS, Site
from faults.waiting import wait_for


def in_doubt_at_random(window: int) -> Callable[[Site, int], Tally]:
    """Return the row that kills at random moments and counts, with this window."""

    def run(site: Site, seed: int) -> Tally:
        count, kills = site.count(2_000, 300), 5 if site.is_quick else 25
        dice = site.dice(seed)
        site.set(smtp={"window": window})
        site.relay.become(slow_s=0.01)
        site.relay.at_messages(["", "slow_ack"] * count)
        site.enqueue(count)
        most = 0
        promises = Tally()
        for number in range(kills):
            worker = site.work()
            site.relay.wait_for(int(count * (number + dice.random()) / kills))
            site.kill(worker, excuses=CONNECTIONS * window)
            begun = len(_begun(site))
            most = max(most, begun)
            promises.expect(begun <= CONNECTIONS * window, f"few in doubt, got {begun}")
        found = site.finish()
        found.add(promises)
        found.note(
            f"at most {most} in doubt after a kill, {CONNECTIONS} connections, {window} each"
        )
        return found

    return run


def _begun(site: Site) -> list[str]:
    with site.mailer.parts.outbox.reading() as tx:
        rows = tx.execute(
            "SELECT address FROM envoi_delivery WHERE state = 'sending' AND begun = 1", {}
        )
    return [str(row[0]) for row in rows]


def by_class(site: Site, _seed: int) -> Tally:
    """Killed with a content of each class under way: again at once, later, or held."""
    site.set(
        smtp={"connections": 3},
        delivery={"hold_uncertain": ["broadcast"], "uncertain_wait_s": 4},
    )
    # One of each class is kept, and its answer never comes.
    site.relay.at_messages(["hang_kept"] * 3)
    [reset] = site.enqueue(1, mail_class=MailClass.SECURITY)
    [notice] = site.enqueue(1, mail_class=MailClass.NOTICE)
    [news] = site.enqueue(1, mail_class=MailClass.BROADCAST)
    worker = site.work()
    wait_for(lambda: len(_begun(site)) == 3 and site.relay.evidence.kept == 3, "three contents")  # noqa: PLR2004 # one each
    site.kill(worker)
    heir = site.work()
    site.wait_for_states(sent=2, held=1)
    found = site.tally()
    copies = site.relay.evidence.copies
    gap_s = copies[notice][-1].kept_at_s - copies[reset][-1].kept_at_s
    found.expect(len(copies[reset]) == 2, "the security mail again")  # noqa: PLR2004 # twice
    found.expect(gap_s > 1, f"the security mail at once, the notice later, got {gap_s:.2f} s")
    found.expect(len(copies[news]) == 1, "the broadcast once")
    found.expect(_held_for_a_person(site, news), "the broadcast to wait for a person")
    site.command("outbox", "cancel", "--all", "--yes")
    found.expect(site.states.get(State.CANCELLED) == 1, "the decision to be taken")
    found.expect(heir.stop() == 0, "the worker to end in order")
    return found


def _held_for_a_person(site: Site, address: str) -> bool:
    [held] = [one for one in site.deliveries if str(one.delivery.address) == address]
    return held.delivery.state is State.HELD and "for you to decide" in held.last_reply


ROWS = (
    Row(id="C7", title="in doubt after random kills", run=in_doubt_at_random(1), limit_s=240),
    Row(id="C8", title="in doubt with a window of four", run=in_doubt_at_random(4), limit_s=240),
    Row(id="C9", title="in doubt, by class of mail", run=by_class),
)
