"""Hosts of their own inside this machine: network namespaces on one bridge, cut off at will.

The addresses are those that RFC 2544 keeps for tests; nothing leaves the machine.
"""

import os
import shutil
import subprocess

BRIDGE_HOST = "198.18.0.1"
NETWORK = "198.18.0.0/24"


def why_not() -> str:
    """Why no namespaces can be made here; empty when they can."""
    if os.geteuid() != 0 or shutil.which("ip") is None:
        return "network namespaces need root and iproute2"
    name = f"ev{os.getpid()}p"
    made = subprocess.run(["ip", "netns", "add", name], capture_output=True, check=False)
    if made.returncode:
        return f"network namespaces are not permitted: {made.stderr.decode().strip()}"
    _ip("netns", "del", name)
    return ""


class Network:
    """A bridge that this process stands on, and hosts behind it."""

    def __init__(self) -> None:
        # Another run of the suite has its own.
        self._stem = f"ev{os.getpid()}"[-10:]
        self._bridge = f"{self._stem}br"
        self._hosts: dict[str, str] = {}
        _ip("link", "add", self._bridge, "type", "bridge")
        _ip("addr", "add", f"{BRIDGE_HOST}/24", "dev", self._bridge)
        _ip("link", "set", self._bridge, "up")

    def add(self, name: str) -> None:
        """Add a host; programs run on it by `words`."""
        space, outer, inner = self._space(name), self._outer(name), f"{self._stem}i{name}"
        _ip("netns", "add", space)
        self._hosts[name] = space
        _ip("link", "add", outer, "type", "veth", "peer", "name", inner)
        _ip("link", "set", inner, "netns", space)
        _ip("link", "set", outer, "master", self._bridge, "up")
        address = f"198.18.0.{len(self._hosts) + 1}/24"
        _ip("-n", space, "addr", "add", address, "dev", inner)
        _ip("-n", space, "link", "set", inner, "up")
        _ip("-n", space, "link", "set", "lo", "up")

    def words(self, name: str) -> list[str]:
        """What stands before a program that runs on a host, under that host's own name."""
        return ["ip", "netns", "exec", self._space(name)]

    def cut(self, name: str) -> None:
        """Let nothing through to a host or from it, and tell nobody."""
        _ip("link", "set", self._outer(name), "down")

    def mend(self, name: str) -> None:
        """Let everything through again."""
        _ip("link", "set", self._outer(name), "up")

    def close(self) -> None:
        for space in self._hosts.values():
            _ip("netns", "del", space)
        _ip("link", "del", self._bridge)

    def _space(self, name: str) -> str:
        return f"{self._stem}n{name}"

    def _outer(self, name: str) -> str:
        return f"{self._stem}o{name}"


def _ip(*words: str) -> None:
    subprocess.run(["ip", *words], check=True, capture_output=True, timeout=20)
