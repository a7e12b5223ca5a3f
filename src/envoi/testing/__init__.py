"""This room is what tests of mail need: recorded mail to look at, and relays to be tried against.

`Recorder` stands in for a relay and shows what would have gone out. `FaultyRelay` is a real SMTP
server on a loopback socket that misbehaves by name. `HonestRelay` is aiosmtpd, a server that was
not written by us. As pytest fixtures: `pytest_plugins = ["envoi.testing.fixtures"]`.
"""

from envoi.testing.faults import Fault
from envoi.testing.honest import HonestRelay
from envoi.testing.ledger import Kept, RelayTraits
from envoi.testing.recorder import Recorder, Sent
from envoi.testing.relay import FaultyRelay

__all__ = ["Fault", "FaultyRelay", "HonestRelay", "Kept", "Recorder", "RelayTraits", "Sent"]
