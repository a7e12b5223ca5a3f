"""This room is relays that are hostile throughout: 300 mails each, by the chances of a seed."""

import random
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import partial

from faults.row import Row, Tally
from faults.site import CONNECTIONS, FINISH_S, Site
from faults.waiting import wait, wait_for

# Shorter than the usual ones: a mail may be refused ten times here.
_PATIENCE = {"first_retry_s": 1, "longest_retry_s": 1}
# How many faults are scripted; what comes behind them finds the relay well, so that it ends.
_SCRIPTED = 600


@dataclass(frozen=True, slots=True, kw_only=True)
class Profile:
    """What a hostile relay is like.

    Args:
        messages: Faults of mails, with their weights.
        connections: Faults of connections, with their weights.
        traits: What it is like besides.
        prefixes: How it treats some recipients, with their weights.
        smtp: Settings, such as time-outs that let a row end.
    """

    messages: Mapping[str, int] = field(default_factory=lambda: {"": 1})
    connections: Mapping[str, int] = field(default_factory=lambda: {"": 1})
    traits: Mapping[str, object] = field(default_factory=dict[str, object])
    prefixes: Mapping[str, int] = field(default_factory=lambda: {"": 1})
    smtp: Mapping[str, object] = field(default_factory=dict[str, object])


_FLAKY = {
    "": 60, "mail_451": 3, "mail_421": 2, "mail_drop": 3, "rcpt_450": 4, "rcpt_drop": 2,
    "data_451": 3, "data_421": 2, "drop_on_354": 2, "drop_in_data": 2, "end_451": 4, "end_421": 2,
    "drop_unkept": 3, "drop_kept": 3, "close_after_250": 3, "slow_ack": 2,
}  # fmt: skip
_IMPATIENT = {"command_timeout_s": 2, "content_timeout_s": 5}

PROFILES = {
    "clean": Profile(),
    "flaky": Profile(messages=_FLAKY, connections={"": 6, "greet_421": 1, "accept_close": 1}),
    "storm": Profile(
        messages={"": 30, "mail_451": 15, "rcpt_450": 20, "rcpt_421": 10, "end_451": 15,
                  "end_452": 10},
        connections={"": 3, "greet_421": 1, "ehlo_421": 1},
    ),
    "evil": Profile(
        messages={**_FLAKY, "kept_451": 3, "kept_421": 2, "end_554": 2, "rcpt_550": 3,
                  "rcpt_550_354": 3, "data_554": 2, "mail_550": 2, "desync": 2, "desync_data": 2,
                  "data_250": 2, "hang_kept": 1},
        connections={"": 8, "greet_554": 1, "garbage": 1, "long_reply": 1, "ehlo_502": 1},
        prefixes={"": 8, "perm-": 1, "dataperm-": 1},
        smtp=_IMPATIENT,
    ),
    "desync": Profile(
        messages={"": 6, "desync": 1, "desync_data": 1, "data_250": 1, "rcpt_550_354": 1},
        prefixes={"": 2, "perm-": 1},
    ),
    "caps": Profile(
        messages={"": 20, "rcpt_421": 1},
        traits={"max_connections": 2, "max_messages": 5, "max_rcpts": 1},
    ),
}  # fmt: skip


def hostile(name: str, site: Site, seed: int) -> Tally:
    """Send 300 mails to a relay of a profile."""
    profile, dice = PROFILES[name], site.dice(seed)
    count = site.count(300, 60)
    site.set(delivery=_PATIENCE, smtp=profile.smtp)
    site.relay.become(**profile.traits)
    site.relay.at_messages(_drawn(dice, profile.messages, min(_SCRIPTED, count * 2)))
    site.relay.at_connections(_drawn(dice, profile.connections, count // 4))
    for prefix in _drawn(dice, profile.prefixes, count // 10):
        site.enqueue(10, prefix)
    return site.finish(2 * FINISH_S)


def _drawn(dice: random.Random, weights: Mapping[str, int], count: int) -> list[str]:
    return dice.choices(list(weights), list(weights.values()), k=count)


def away_and_back(site: Site, seed: int) -> Tally:
    """A relay that goes away and comes back, gently and by kill -9, while mail goes."""
    dice, count = site.dice(seed), site.count(300, 60)
    site.set(delivery=_PATIENCE)
    site.relay.become(slow_s=0.02)
    site.relay.at_messages([], then="slow_ack")
    site.enqueue(count)
    process = site.work()
    for number in range(1, 4):
        site.relay.wait_for(number * count // 5)
        # What it keeps in this moment it can confirm to nobody.
        site.disrupt("the relay went away", CONNECTIONS)
        leave, return_ = dice.choice([
            (site.relay.stop, site.relay.start), (site.relay.kill, site.relay.revive),
        ])  # fmt: skip
        leave()
        site.disrupt("the relay was away", CONNECTIONS)
        wait(dice.uniform(0, 1.5))
        return_()
    site.wait_until_settled()
    code = process.stop()
    found = site.tally()
    found.expect(code == 0, "the worker to end well")
    return found


def moody_sign_in(site: Site, seed: int) -> Tally:
    """A relay that sometimes cannot check passwords and sometimes refuses the right one."""
    dice, count = site.dice(seed), site.count(300, 60)
    sign_in: dict[str, object] = {"username": "wiki", "password": "not-for-everybody"}
    site.set(delivery=_PATIENCE, smtp={**sign_in, "messages_per_connection": 10})
    site.relay.become(**sign_in, demands_auth=True)
    site.relay.at_connections(_drawn(dice, {"": 6, "auth_454": 2, "auth_535": 1}, count // 8))
    site.enqueue(count)
    while not _is_settled_or_paused(site):
        pass
    found = site.tally()
    found.expect(not found.duplicated_excused, "no copy too many: nothing was in doubt")
    return found


def _is_settled_or_paused(site: Site) -> bool:
    """Let a worker go on until all is settled, or it waits a minute because of a 535."""
    process = site.work()
    settled = partial(_has_settled, site)
    wait_for(lambda: settled() or "refused the sign-in" in process.log, "an end or a pause")
    process.stop()
    return settled()


def _has_settled(site: Site) -> bool:
    return not {"queued", "sending", "uncertain"} & site.states.keys()


ROWS = (
    Row(id="H1", title="profile clean", run=partial(hostile, "clean"), seeds=3),
    Row(id="H2", title="profile flaky", run=partial(hostile, "flaky"), seeds=3, limit_s=180),
    Row(id="H3", title="profile storm", run=partial(hostile, "storm"), seeds=3, limit_s=180),
    Row(
        id="H4", title="profile evil", run=partial(hostile, "evil"), seeds=3, limit_s=180,
        is_quick=True,
    ),
    Row(id="H5", title="profile desync", run=partial(hostile, "desync"), seeds=3, limit_s=180),
    Row(id="H6", title="profile caps", run=partial(hostile, "caps"), seeds=3, limit_s=180),
    Row(id="H7", title="profile outage", run=away_and_back, seeds=3, limit_s=180),
    Row(id="H8", title="profile auth_flaky", run=moody_sign_in, seeds=3, limit_s=180),
)  # fmt: skip
