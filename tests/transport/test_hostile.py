"""Faults at random places: what a carrier says of each mail agrees with what the relay has."""

import random
from collections import Counter

import pytest

from envoi.core.delivery import Doubtful, Reply
from envoi.testing import Fault, FaultyRelay, RelayTraits
from envoi.testing.faults import AT_DATA, AT_END, AT_MAIL, AT_RCPT, KEPT_UNSAID
from envoi.testing.ledger import EXTENSIONS
from envoi.transport.carrier import SmtpCarrier
from tests.transport.rounds import Round, drive, options, parcel

COUNT = 150
# Nothing here may wait for a time-out, and a relay that lies is beyond us.
FAULTS = [
    *(set(AT_MAIL) - {Fault.MAIL_530}),
    *AT_RCPT,
    *AT_DATA,
    *AT_END,
    Fault.RCPT_DROP,
    Fault.DROP_ON_354,
    Fault.DROP_IN_DATA,
    Fault.DROP_KEPT,
    Fault.DROP_UNKEPT,
    Fault.CLOSE_AFTER_250,
    Fault.DESYNC_DATA,
    Fault.BDAT_502,
]
ANSWERS = {**AT_MAIL, **AT_RCPT, **AT_DATA, **AT_END}
FOR_GOOD = {fault for fault, line in ANSWERS.items() if line.startswith("5")}
CASES = [(seed, window) for seed in range(1, 4) for window in (1, 8)]


@pytest.fixture(params=CASES, ids=[f"seed {seed}, window {window}" for seed, window in CASES])
def case(request):
    return request.param


def carry_all(relay, parcels, window):
    """Carry everything, trying the relay again whenever it is in trouble."""
    carrier = SmtpCarrier(options(relay.port, connections=3, window=window))
    result = Round()

    def is_done():
        if result.troubles and not carrier.room():
            carrier.retry_now()
        return len(result.outcomes) == len(parcels)

    drive(carrier, result, until=is_done, waiting=list(parcels))
    result.take(carrier, carrier.close(2))
    return result


def test_every_outcome_agrees_with_what_the_relay_has(case):
    seed, window = case
    rng = random.Random(seed)
    faults = {n: rng.choice(FAULTS) for n in range(1, COUNT + 1) if rng.random() < 0.1}
    names = {n: f"{faults[n]}-m{n}" if n in faults else f"m{n}" for n in range(1, COUNT + 1)}
    traits = RelayTraits(extensions=EXTENSIONS, max_messages=rng.choice([0, 9]))
    with FaultyRelay(traits) as relay:
        result = carry_all(relay, [parcel(n, name) for n, name in names.items()], window)

        kept = Counter(k.recipient.partition("@")[0] for k in relay.kept)
        for number, outcome in result.outcomes.items():
            fault, copies = faults.get(number), kept[names[number]]
            if isinstance(outcome, Doubtful):
                continue
            if isinstance(outcome, Reply) and outcome.code < 300:
                assert copies == 1, (number, fault, outcome)
                continue
            assert copies == 0 or fault in KEPT_UNSAID, (number, fault, outcome)
            if isinstance(outcome, Reply) and outcome.code >= 500:
                assert fault in FOR_GOOD, (number, fault, outcome)
        assert relay.ledger.violations == []
        # A connection breaks once, and only what was under way on it is in doubt.
        doubts = sum(isinstance(outcome, Doubtful) for outcome in result.outcomes.values())
        assert doubts <= window * relay.ledger.connections
