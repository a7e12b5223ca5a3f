"""This room opens connections beside the loop: one small thread for each, until it is open."""

import threading
from collections.abc import Callable
from queue import SimpleQueue

from envoi.core.delivery import Stage
from envoi.seams import RelayTrouble
from envoi.transport.advice import TroubleError
from envoi.transport.smtp import Door, Opened


class Openings:
    """Connections being opened.

    Args:
        door: Opens them.
        wake: Called from a thread when a result waits.
    """

    def __init__(self, door: Door, wake: Callable[[], None]) -> None:
        """Begin with none."""
        self._door = door
        self._wake = wake
        self._results: SimpleQueue[Opened | RelayTrouble] = SimpleQueue()
        self._lock = threading.Lock()
        self._is_closed = False
        self.count = 0

    def start(self) -> None:
        """Begin to open one more."""
        self.count += 1
        # A daemon: a name server that does not answer must not hold up the end of the process.
        threading.Thread(target=self._open, name="envoi-relay-opening", daemon=True).start()

    def take(self) -> list[Opened | RelayTrouble]:
        """Return what was opened, or why not, since the last call."""
        results: list[Opened | RelayTrouble] = []
        while self.count and not self._results.empty():
            results.append(self._results.get())
            self.count -= 1
        return results

    def close(self) -> None:
        """Give up; what opens after this is closed at once."""
        with self._lock:
            self._is_closed = True
        for result in self.take():
            if isinstance(result, Opened):
                result.sock.close()

    def _open(self) -> None:
        try:
            result: Opened | RelayTrouble = self._door.open()
        except TroubleError as err:
            result = err.trouble
        except OSError as err:
            # The steps turn what they expect into trouble; this is a machine out of sockets.
            result = RelayTrouble(
                stage=Stage.CONNECT, because=f"no connection can be opened here: {err}"
            )
        with self._lock:
            if self._is_closed:
                if isinstance(result, Opened):
                    result.sock.close()
                return
            self._results.put(result)
            self._wake()
