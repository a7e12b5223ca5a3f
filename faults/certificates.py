"""This room makes certificates for relays: right, expired, for another host, of nobody known."""

import datetime as dt
from dataclasses import dataclass
from pathlib import Path

import trustme

_BEGIN = dt.datetime(2020, 1, 1, tzinfo=dt.UTC)
_END = dt.datetime(2021, 1, 1, tzinfo=dt.UTC)


@dataclass(frozen=True, slots=True, kw_only=True)
class Certificates:
    """Files in PEM format.

    Args:
        ca_file: The authority that is trusted.
        good: Key and certificate for `localhost`.
        expired: The same, out of date.
        wrong_host: For another name.
        self_signed: By nobody but itself.
    """

    ca_file: str
    good: str
    expired: str
    wrong_host: str
    self_signed: str


def make_certificates(folder: Path) -> Certificates:
    """Write certificates into a folder."""
    ca, stranger = trustme.CA(), trustme.CA()
    ca.cert_pem.write_to_path(folder / "ca.pem")
    # An authority's own certificate, shown by a server, is signed by itself.
    own = folder / "self-signed.pem"
    own.write_bytes(stranger.private_key_pem.bytes() + stranger.cert_pem.bytes())
    late = ca.issue_cert("localhost", not_before=_BEGIN, not_after=_END)
    return Certificates(
        ca_file=str(folder / "ca.pem"),
        good=_written(ca.issue_cert("localhost"), folder / "good.pem"),
        expired=_written(late, folder / "expired.pem"),
        wrong_host=_written(ca.issue_cert("mail.example.org"), folder / "wrong-host.pem"),
        self_signed=str(own),
    )


def _written(leaf: trustme.LeafCert, path: Path) -> str:
    leaf.private_key_and_cert_chain_pem.write_to_path(path)
    return str(path)
