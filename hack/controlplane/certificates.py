"""A certificate authority of one cluster's own, and what it signs: serving and client certificates.

Elliptic-curve keys throughout, which are made in a millisecond. Everything is valid for ten years from
yesterday, longer than any bench lives.
"""

from __future__ import annotations

import os
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

LIFE = timedelta(days=3650)


@dataclass(frozen=True, slots=True)
class Pair:
    """Two PEM files: a certificate and its private key."""

    certificate: Path
    key: Path


@dataclass(frozen=True, slots=True)
class Authority:
    """Signs the certificates of one cluster; its files stand in `folder`."""

    folder: Path
    pair: Pair
    certificate: x509.Certificate
    key: ec.EllipticCurvePrivateKey

    def serving(self, name: str, hosts: Iterable[str]) -> Pair:
        """The files `name`.crt and `name`.key of a server that is reached by these host names and addresses."""
        names = x509.SubjectAlternativeName([_general_name(host) for host in hosts])
        return self._sign(name, _subject(name, ()), ExtendedKeyUsageOID.SERVER_AUTH, names)

    def client(self, name: str, user: str, groups: Iterable[str] = ()) -> Pair:
        """The files `name`.crt and `name`.key of the Kubernetes user `user` in `groups`."""
        return self._sign(name, _subject(user, groups), ExtendedKeyUsageOID.CLIENT_AUTH, None)

    def _sign(
        self, name: str, subject: x509.Name, usage: x509.ObjectIdentifier, names: x509.SubjectAlternativeName | None
    ) -> Pair:
        key = ec.generate_private_key(ec.SECP256R1())
        unsigned = _builder(subject, self.certificate.subject, key, is_authority=False)
        unsigned = unsigned.add_extension(x509.ExtendedKeyUsage([usage]), critical=False)
        # strict verification, the default from Python 3.13 on, wants this one and the subject's identifier
        issuer = x509.AuthorityKeyIdentifier.from_issuer_public_key(self.key.public_key())
        unsigned = unsigned.add_extension(issuer, critical=False)
        if names is not None:
            unsigned = unsigned.add_extension(names, critical=False)
        return _write(self.folder, name, unsigned.sign(self.key, hashes.SHA256()), key)


def make_authority(folder: Path, name: str) -> Authority:
    """A fresh authority, its files `name`.crt and `name`.key in `folder`."""
    key = ec.generate_private_key(ec.SECP256R1())
    subject = _subject(name, ())
    certificate = _builder(subject, subject, key, is_authority=True).sign(key, hashes.SHA256())
    return Authority(folder, _write(folder, name, certificate, key), certificate, key)


def make_key(file: Path) -> Path:
    """A private key without a certificate, to sign service account tokens with."""
    _write_private(file, _pem(ec.generate_private_key(ec.SECP256R1())))
    return file


def _builder(
    subject: x509.Name, issuer: x509.Name, key: ec.EllipticCurvePrivateKey, *, is_authority: bool
) -> x509.CertificateBuilder:
    yesterday = datetime.now(UTC) - timedelta(days=1)
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(yesterday)
        .not_valid_after(yesterday + LIFE)
        .add_extension(x509.BasicConstraints(ca=is_authority, path_length=None), critical=True)
        .add_extension(_key_usage(is_authority), critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
    )


def _key_usage(is_authority: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=True,
        key_cert_sign=is_authority,
        crl_sign=is_authority,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        encipher_only=False,
        decipher_only=False,
    )


def _subject(user: str, groups: Iterable[str]) -> x509.Name:
    """Kubernetes reads the common name as the user and each organization as a group."""
    attributes = [x509.NameAttribute(NameOID.ORGANIZATION_NAME, group) for group in groups]
    return x509.Name([*attributes, x509.NameAttribute(NameOID.COMMON_NAME, user)])


def _general_name(host: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ip_address(host))
    except ValueError:
        return x509.DNSName(host)


def _write(folder: Path, name: str, certificate: x509.Certificate, key: ec.EllipticCurvePrivateKey) -> Pair:
    pair = Pair(folder / f"{name}.crt", folder / f"{name}.key")
    pair.certificate.write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
    _write_private(pair.key, _pem(key))
    return pair


def _pem(key: ec.EllipticCurvePrivateKey) -> bytes:
    return key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.TraditionalOpenSSL, serialization.NoEncryption()
    )


def _write_private(file: Path, content: bytes) -> None:
    with os.fdopen(os.open(file, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb") as opened:
        opened.write(content)
