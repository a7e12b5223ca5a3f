"""kill -9 with a window of mails under way: no more copies too many than the setting says."""

from envoi.core.delivery import State
from tests.processes.site import ON_ONE_ENGINE, wait_until

WINDOW = 6


def finish(site, count):
    process = site.work()
    site.wait_for_states(sent=count)
    assert process.stop() == 0


def begun(site):
    """To whom contents are under way, as the outbox knows it."""
    with site.mailer.parts.outbox.reading() as tx:
        rows = tx.execute(
            "SELECT address FROM envoi_delivery WHERE state = 'sending' AND begun = 1", {}
        )
    return {str(address) for (address,) in rows}


def test_killed_in_the_middle_of_a_window(make_site):
    """The relay has the first of them, and keeps silent about it."""
    site = make_site(smtp={"connections": 1, "window": WINDOW})
    site.relay.messages.play([""] * 20 + ["hang_kept"])
    site.send(60)
    process = site.work()
    wait_until(lambda: not all(kept.is_acknowledged for kept in site.ledger.kept))
    wait_until(lambda: len(begun(site)) == WINDOW)
    in_doubt = begun(site)

    process.kill()
    finish(site, 60)

    assert site.ledger.chunks > WINDOW
    twice = {recipient for recipient, count in site.copies.items() if count == 2}
    assert len(site.copies) == 60
    assert site.duplicates == len(twice) == 1
    assert twice < in_doubt
    site.assert_copies_are_equal()
    assert site.ledger.violations == []


@ON_ONE_ENGINE
def test_killed_three_times_with_windows_on_every_connection(make_site):
    connections, kills, count = 2, 3, 900
    site = make_site(smtp={"connections": connections, "window": WINDOW})
    site.send(count)

    for number in range(kills):
        left = begun(site)
        process = site.work()
        site.ledger.wait_for((number + 1) * 200, timeout_s=45)
        process.kill()
        assert len(begun(site) - left) <= connections * WINDOW
    finish(site, count)

    assert len(site.copies) == count
    assert site.duplicates <= kills * connections * WINDOW
    site.assert_copies_are_equal()
    assert site.states == {State.SENT: count}
    assert site.ledger.violations == []
