"""This room measures how fast a relay takes mail, so that the next is at hand in time."""

# Mail in hand is leased, and a password reset that comes now stands behind it: no more than leaves
# within this.
AHEAD_S = 0.1
# What the figure is taken from.
SPAN_S = 0.25
# Their contents are in memory.
MOST_AHEAD = 100


class Pace:
    """Counts what is finished, and says how many parcels are worth having at hand.

    Args:
        now_s: Monotonic seconds.
    """

    def __init__(self, now_s: float) -> None:
        """Begin with nothing at hand: nobody knows yet how fast it goes."""
        self._since_s = now_s
        self._finished = 0
        self.ahead = 0

    def note(self, finished: int, now_s: float) -> None:
        """Note how many were finished since the last time.

        >>> pace = Pace(0.0)
        >>> pace.note(500, 1.0)
        >>> pace.ahead
        50
        """
        self._finished += finished
        passed_s = now_s - self._since_s
        if passed_s >= SPAN_S:
            self.ahead = min(int(self._finished / passed_s * AHEAD_S), MOST_AHEAD)
            self._since_s, self._finished = now_s, 0
