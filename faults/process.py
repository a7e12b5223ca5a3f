"""This room starts programs and ends them as rudely as the world does."""

import os
import re
import signal
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parent.parent

# Long enough for a busy machine; nothing waits for it when all is well.
PATIENCE_S = 45.0


def surroundings() -> dict[str, str]:
    """Return the environment of a program that is to find this package from any folder."""
    paths = [str(ROOT), *filter(None, [os.environ.get("PYTHONPATH", "")])]
    return {**os.environ, "PYTHONPATH": os.pathsep.join(paths)}


class Process:
    """A Python program with its log.

    Args:
        words: What Python is to run, e.g. `("-m", "envoi", "work")`; or any command, when its
            first word is a path.
        folder: Its working directory; the log lies there.
        name: Of the log.
        env: Beside the environment of this process.
    """

    def __init__(
        self, words: tuple[str, ...], folder: Path, name: str, env: dict[str, str]
    ) -> None:
        """Start it."""
        self.log_path = folder / f"{name}.log"
        command = words if words[0].startswith("/") else (sys.executable, *words)
        with self.log_path.open("w") as log:
            self._popen = subprocess.Popen(
                command,
                cwd=folder,
                env={**surroundings(), **env},
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
            )

    @property
    def pid(self) -> int:
        """Its process id."""
        return self._popen.pid

    @property
    def log(self) -> str:
        """What it said so far."""
        return self.log_path.read_text("utf-8", "replace")

    @property
    def is_alive(self) -> bool:
        """Whether it has not ended."""
        return self._popen.poll() is None

    @property
    def sent(self) -> list[int]:
        """The deliveries that a worker says it has sent."""
        return [int(number) for number in re.findall(r"delivery (\d+) to \S+ sent", self.log)]

    def signal(self, number: signal.Signals) -> None:
        """Send it a signal."""
        self._popen.send_signal(number)

    def kill(self) -> None:
        """End it as a power cut would."""
        self._popen.kill()
        self._popen.wait(PATIENCE_S)

    def wait(self, timeout_s: float = PATIENCE_S) -> int:
        """Wait for its end and return its exit code.

        Raises:
            subprocess.TimeoutExpired: It did not end.
        """
        return self._popen.wait(timeout_s)

    def stop(self, timeout_s: float = PATIENCE_S) -> int:
        """Ask it to end and return its exit code."""
        self._popen.terminate()
        return self.wait(timeout_s)

    def close(self) -> None:
        """See to it that it is gone, frozen or not."""
        if self.is_alive:
            self.signal(signal.SIGCONT)
            self.kill()
