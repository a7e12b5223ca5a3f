"""A real OpenLDAP server for the tests: its own folder, its own ports, ended with its process.

Its people stand below `dc=example,dc=org`. Whoever does not sign in sees nothing; the reader sees
everything but at most 500 entries at once, as servers have it.
"""

import os
import shutil
import socket
import subprocess
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from threading import Thread

import trustme

BASE = "dc=example,dc=org"
READER = f"cn=reader,{BASE}"
PASSWORD = "s3cret (*)"
_PLACES = f"{os.environ.get('PATH', '')}:/usr/sbin:/usr/local/sbin"
_SCHEMAS = ("core", "cosine", "inetorgperson", "nis")


def slapd_path() -> str | None:
    """Where the server is installed; None when it is not."""
    return shutil.which("slapd", path=_PLACES)


@dataclass(frozen=True)
class Slapd:
    """A running server.

    Args:
        url: Where it speaks in clear and offers StartTLS.
        tls_url: Where it speaks TLS from the first byte.
        ca_file: The authority of its certificate, which is for `localhost`.
        process: Its process.
    """

    url: str
    tls_url: str
    ca_file: Path
    process: subprocess.Popen[str]


def ldif(dn: str, *lines: str) -> str:
    """One entry."""
    return "\n".join([f"dn: {dn},{BASE}" if dn else f"dn: {BASE}", *lines]) + "\n"


FRAME = (
    ldif("", "objectClass: dcObject", "objectClass: organization", "dc: example", "o: Example"),
    ldif(
        "cn=reader",
        "objectClass: organizationalRole",
        "objectClass: simpleSecurityObject",
        "cn: reader",
        f"userPassword: {PASSWORD}",
    ),
)


@contextmanager
def serving(folder: Path, entries: Iterable[str]) -> Iterator[Slapd]:
    """Serve these entries."""
    slapd = slapd_path()
    assert slapd, "slapd is not installed"
    config = _prepared(folder, slapd, entries)
    while True:
        # Somebody else may take a free port before the server does.
        clear, tls = free_port(), free_port()
        urls = f"ldap://127.0.0.1:{clear} ldaps://127.0.0.1:{tls}"
        process = subprocess.Popen(
            [slapd, "-h", urls, "-f", str(config), "-d", "256"], stderr=subprocess.PIPE, text=True
        )
        if _is_up(process):
            _await_listening(tls)
            # It says what it is asked; a pipe that nobody reads would stop it once it is full.
            Thread(target=process.communicate, daemon=True).start()
            break
        process.wait()
    try:
        yield Slapd(
            f"ldap://localhost:{clear}", f"ldaps://localhost:{tls}", folder / "ca.pem", process
        )
    finally:
        process.terminate()
        process.wait()


def free_port() -> int:
    """A port that nobody listens on."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return int(listener.getsockname()[1])


def _is_up(process: subprocess.Popen[str]) -> bool:
    assert process.stderr
    said: list[str] = []
    for line in process.stderr:
        if "slapd starting" in line:
            return True
        said.append(line)
    if any("in use" in line for line in said):
        return False
    raise AssertionError("".join(said))


def _await_listening(port: int) -> None:
    # It says that it starts a moment before it listens, on the ports in their order.
    while True:
        try:
            socket.create_connection(("127.0.0.1", port)).close()
        except ConnectionRefusedError:
            continue
        return


def _prepared(folder: Path, slapd: str, entries: Iterable[str]) -> Path:
    ca, data = trustme.CA(), folder / "data"
    leaf = ca.issue_cert("localhost")
    ca.cert_pem.write_to_path(folder / "ca.pem")
    leaf.private_key_pem.write_to_path(folder / "key.pem")
    leaf.cert_chain_pems[0].write_to_path(folder / "cert.pem")
    data.mkdir()
    config, people = folder / "slapd.conf", folder / "people.ldif"
    config.write_text(_config(folder))
    people.write_text("\n".join([*FRAME, *entries]))
    # `slapadd` is the same program by another name.
    command = ["slapadd", "-q", "-f", str(config), "-l", str(people)]
    added = subprocess.run(command, executable=slapd, capture_output=True, text=True, check=False)
    assert added.returncode == 0, added.stderr
    return config


def _config(folder: Path) -> str:
    # Debian and Fedora keep schemas and modules at different places.
    etc = next(p for p in ("/etc/ldap", "/etc/openldap") if Path(p, "schema").is_dir())
    modules = [p for p in ("/usr/lib/ldap", "/usr/lib64/openldap") if Path(p).is_dir()]
    loaded = [f"modulepath {modules[0]}", "moduleload back_mdb", "moduleload memberof"]
    return "\n".join([
        *(f"include {etc}/schema/{name}.schema" for name in _SCHEMAS),
        *(loaded if modules else ()),
        f"TLSCACertificateFile {folder}/ca.pem",
        f"TLSCertificateFile {folder}/cert.pem",
        f"TLSCertificateKeyFile {folder}/key.pem",
        "sizelimit size.soft=500 size.hard=500 size.prtotal=unlimited",
        "database mdb",
        f'suffix "{BASE}"',
        f"directory {folder}/data",
        "maxsize 104857600",
        "index objectClass,uid,mail,cn,entryUUID eq",
        "overlay memberof",
        "access to attrs=userPassword by anonymous auth by * none",
        f'access to * by dn.exact="{READER}" read by * none',
        "",
    ])  # fmt: skip
