"""Relays and certificates for the tests of this room."""

import datetime as dt
import ssl
from dataclasses import dataclass
from pathlib import Path

import pytest
import trustme

from envoi.testing.fixtures import envoi_recorder, faulty_relay

__all__ = ["envoi_recorder", "faulty_relay"]


@pytest.fixture
def relay(faulty_relay):
    return faulty_relay


@dataclass(frozen=True)
class Certificates:
    """Server contexts by what is wrong with them, and the file of the authority behind them."""

    ca_file: str
    contexts: dict[str, ssl.SSLContext]


@pytest.fixture(scope="session")
def certificates(tmp_path_factory) -> Certificates:
    ca, stranger = trustme.CA(), trustme.CA()
    begin, end = dt.datetime(2020, 1, 1, tzinfo=dt.UTC), dt.datetime(2021, 1, 1, tzinfo=dt.UTC)
    leaves = {
        "good": ca.issue_cert("localhost", "127.0.0.1"),
        "expired": ca.issue_cert("localhost", "127.0.0.1", not_before=begin, not_after=end),
        "wrong host": ca.issue_cert("mail.example.org"),
        "unknown authority": stranger.issue_cert("localhost", "127.0.0.1"),
    }
    ca_file = tmp_path_factory.mktemp("ca") / "ca.pem"
    ca.cert_pem.write_to_path(ca_file)
    contexts = {name: server_context(leaf) for name, leaf in leaves.items()}
    contexts["self-signed"] = self_signed_context(ca_file.parent)
    return Certificates(str(ca_file), contexts)


def server_context(leaf: trustme.LeafCert) -> ssl.SSLContext:
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    leaf.configure_cert(context)
    return context


def self_signed_context(folder: Path) -> ssl.SSLContext:
    # An authority's own certificate, shown by a server, is signed by itself.
    ca = trustme.CA()
    path = folder / "self-signed.pem"
    path.write_bytes(ca.private_key_pem.bytes() + ca.cert_pem.bytes())
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(path)
    return context
