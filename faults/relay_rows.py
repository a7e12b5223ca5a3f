"""This room is what relays do wrong (R1 to R14), one mail or one connection at a time."""

from faults.row import Row, Tally
from faults.site import Site


def cut_after_the_dot(site: Site, seed: int) -> Tally:
    """Hang up behind the final dot, with the mail kept or thrown away."""
    count = site.count(300, 60)
    site.relay.at_messages(site.dice(seed).choices(["", "drop_kept", "drop_unkept"], k=count))
    site.enqueue(count)
    found = site.finish()
    found.expect(found.duplicated_excused, "the relay to have kept mail that it did not confirm")
    return found


ROWS = (
    Row(
        id="R9", title="cut behind the final dot, kept or not", run=cut_after_the_dot, is_quick=True
    ),
)
