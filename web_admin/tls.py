"""The page's own certificate: P-256, self-signed, with the box's names and addresses.

It is made at the first start on an address other than loopback and lies in `DATA/web/tls` beside its fingerprint, which
a person compares with what the browser shows. It is made anew when it is about to expire, or when the box has a name,
or is told to listen on an address, that it does not hold. An address that the network gives is no reason: a fingerprint
that changes without anybody's doing is one that nobody compares.
"""

import datetime
import ipaddress
import os
import socket
from dataclasses import dataclass
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

CIPHERS = "ECDHE+AESGCM:ECDHE+CHACHA20"
VALID_DAYS = 730
RENEW_DAYS = 30


@dataclass(frozen=True, slots=True)
class Identity:
    certificate: Path
    key: Path
    fingerprint: str
    """SHA-256, as browsers show it: pairs of hexadecimal digits with colons."""


def is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def _is_unspecified(host: str) -> bool:
    """It stands for every address that the box has or will have."""
    try:
        return ipaddress.ip_address(host).is_unspecified
    except ValueError:
        return False


def identity(folder: Path, host: str, now: datetime.datetime) -> Identity:
    """The certificate for this listening address; made where there is none that serves."""
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    certificate, key = folder / "certificate.pem", folder / "key.pem"
    names = _names(host)
    needed = [name for name in names if isinstance(name, x509.DNSName) or not _is_unspecified(host)]
    if not (certificate.exists() and key.exists() and _serves(certificate, needed, now)):
        _make(certificate, key, names, now)
    made = x509.load_pem_x509_certificate(certificate.read_bytes())
    fingerprint = made.fingerprint(hashes.SHA256()).hex(":").upper()
    (folder / "fingerprint.txt").write_text(fingerprint + "\n")
    return Identity(certificate, key, fingerprint)


def _names(host: str) -> list[x509.GeneralName]:
    hosts = {socket.gethostname(), "localhost"}
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        hosts.add(host)
        addresses = set()
    else:
        addresses = _own_addresses() if address.is_unspecified else {address}
    addresses.add(ipaddress.ip_address("127.0.0.1"))
    return [x509.DNSName(name) for name in sorted(hosts)] + [
        x509.IPAddress(address) for address in sorted(addresses, key=str)
    ]


def _own_addresses() -> set[ipaddress.IPv4Address | ipaddress.IPv6Address]:
    """What this box's name stands for; a box without one has loopback alone."""
    try:
        found = socket.getaddrinfo(socket.gethostname(), None)
    except socket.gaierror:
        return set()
    return {ipaddress.ip_address(str(entry[4][0]).partition("%")[0]) for entry in found}


def _serves(certificate: Path, names: list[x509.GeneralName], now: datetime.datetime) -> bool:
    try:
        made = x509.load_pem_x509_certificate(certificate.read_bytes())
        held = made.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except (ValueError, x509.ExtensionNotFound):
        return False
    left = made.not_valid_after_utc - now
    return left > datetime.timedelta(days=RENEW_DAYS) and set(names) <= set(held)


def _make(certificate: Path, key: Path, names: list[x509.GeneralName], now: datetime.datetime) -> None:
    secret = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, f"Linekeep {socket.gethostname()}"[:64])])
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(secret.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(hours=1))
        .not_valid_after(now + datetime.timedelta(days=VALID_DAYS))
        .add_extension(x509.SubjectAlternativeName(names), critical=False)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), critical=False)
        .sign(secret, hashes.SHA256())
    )
    pem = secret.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    _write(key, pem)
    _write(certificate, made.public_bytes(serialization.Encoding.PEM))


def _write(path: Path, content: bytes) -> None:
    temporary = path.with_suffix(".new")
    descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
    temporary.rename(path)
