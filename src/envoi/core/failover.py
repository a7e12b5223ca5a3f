"""This room says which relay stands in for which, and what a refusal by one that does is worth."""

from collections.abc import Collection, Mapping, Sequence

from envoi.core.delivery import Outcome, Reply, Stage, Unreachable, Unsuitable


def wards(
    name: str,
    failover: Mapping[str, Sequence[str]],
    paused: Collection[str],
    served: Collection[str],
) -> tuple[str, ...]:
    """Return the relays that one stands in for, in a fixed order.

    Args:
        name: The relay that asks.
        failover: By each relay's name, who stands in for it, the first choice first.
        paused: Relays that are in trouble, or that an operator has paused.
        served: Relays that a live worker serves.

    >>> wards("b", {"a": ["b", "c"]}, paused={"a"}, served={"b", "c"})
    ('a',)
    """
    if name in paused:
        return ()
    return tuple(
        ward
        for ward in sorted(failover)
        if ward in paused and stand_in(failover[ward], paused, served) == name
    )


def stand_in(names: Sequence[str], paused: Collection[str], served: Collection[str]) -> str:
    """Return the relay that stands in for one with these behind it; empty: none can.

    >>> stand_in(["b", "c"], paused={"b"}, served={"b", "c"})
    'c'
    """
    # One that nobody serves would be waited for in vain.
    return next((name for name in names if name not in paused and name in served), "")


def weakened(outcome: Outcome, relay: str) -> Outcome:
    """Return an outcome as it counts when a relay stood in for the one that is meant.

    That one relay will not have a mail (it may not send for this From, it lacks SMTPUTF8, it
    takes nothing so large) says nothing of the relay that the mail is meant for. So nothing is
    failed or held on its word: the mail waits as after a refusal, and its own relay decides.

    Args:
        outcome: What the relay said.
        relay: Its name.
    """
    match outcome:
        case Reply(stage=stage, code=code) if stage.is_transaction and code >= 500:  # noqa: PLR2004 # SMTP's own number
            because = f"{relay}, which stood in, refused it: {outcome}"
            return Unreachable(stage=stage, because=because, had_turn=True)
        case Unsuitable(because=lack):
            because = f"{relay}, which stood in, cannot carry it: {lack}"
            return Unreachable(stage=Stage.MAIL, because=because, had_turn=True)
        case _:
            return outcome
