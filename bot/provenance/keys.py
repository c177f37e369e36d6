"""The keys that pictures are signed and marked with: made at the first start, or the operator's own.

They lie in a folder that only the user who runs Easel can read. Whoever has them can sign as this Easel.
"""

from __future__ import annotations

import secrets
from contextlib import suppress
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.hazmat.primitives.asymmetric.types import PrivateKeyTypes
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from bot import private
from bot.errors import SettingError

MARK_KEY, PRIVATE_KEY, CERTIFICATES, USED = "mark.key", "signing.key", "signing.pem", "used.pem"
LIFETIME = timedelta(days=3650)  # of certificates made here
SOON = timedelta(days=30)  # before its end, a certificate is replaced, or doctor warns

ALGORITHMS = {"secp256r1": "es256", "secp384r1": "es384", "secp521r1": "es512"}
"""C2PA's name of the signature by the curve of the key."""


@dataclass(frozen=True, slots=True)
class Keys:
    """What signs and marks, and what tells that something was signed here."""

    certificates: bytes  # PEM, the signing one first, then those that vouch for it
    private: bytes = field(repr=False)  # PEM
    mark: bytes = field(repr=False)
    algorithm: str = "es256"
    own: bool = False  # the operator's own certificate
    trusted: bytes = b""  # PEM: `certificates`, and those that were used earlier

    @property
    def expires(self) -> datetime:
        """Return when the signing certificate ends."""
        return x509.load_pem_x509_certificates(self.certificates)[0].not_valid_after_utc

    @property
    def name(self) -> str:
        """Return the name in the signing certificate."""
        return x509.load_pem_x509_certificates(self.certificates)[0].subject.rfc4514_string()


def load(folder: Path, certificate: str = "", private_key: str = "") -> Keys:
    """Return the keys in `folder`, made there where there are none, or with the operator's certificate.

    `certificate` and `private_key` are paths of PEM files. A certificate that was made here is replaced
    before it ends; what was signed with earlier ones stays ours. Raises SettingError.
    """
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        if not (folder / MARK_KEY).exists():
            _write(folder / MARK_KEY, secrets.token_bytes(32))
        if not (certificate or private_key) and _is_due(folder):
            _remember(folder, _read(folder / CERTIFICATES))
            certificates, private = make()
            _write(folder / PRIVATE_KEY, private)
            _write(folder / CERTIFICATES, certificates)
        keys = found(folder, certificate, private_key)
        assert keys is not None
        if keys.own:
            _remember(folder, keys.certificates)
    except OSError as error:
        raise SettingError(f"The keys for signing cannot be kept in {folder} ({error.strerror}).") from error
    return keys


def found(folder: Path, certificate: str = "", private_key: str = "") -> Keys | None:
    """Return the keys as they are, or None where the first start will make them. Changes nothing.

    Raises SettingError for a pair that does not fit or hold, OSError.
    """
    mark, made = _read(folder / MARK_KEY), _read(folder / CERTIFICATES)
    if certificate or private_key:
        keys = _own(certificate, private_key, mark)
    elif made and _read(folder / PRIVATE_KEY):
        keys = _checked(made, _read(folder / PRIVATE_KEY), mark, own=False)
    else:
        return None
    return replace(keys, trusted=_read(folder / USED) + made + keys.certificates)


def _is_due(folder: Path) -> bool:
    """Return whether a certificate has to be made: there is none, or it ends soon."""
    made = _read(folder / CERTIFICATES)
    if not made or not _read(folder / PRIVATE_KEY):
        return True
    with suppress(ValueError):  # that is told by whoever reads it next
        return x509.load_pem_x509_certificates(made)[0].not_valid_after_utc < datetime.now(UTC) + SOON
    return False


def _remember(folder: Path, certificates: bytes) -> None:
    """Store used certificates, so that what they signed is recognised after they are replaced."""
    used = _read(folder / USED)
    if certificates not in used:
        _write(folder / USED, used + certificates)


def _read(path: Path) -> bytes:
    """Return what stands in a file, or nothing where there is none."""
    return path.read_bytes() if path.exists() else b""


def make(now: datetime | None = None) -> tuple[bytes, bytes]:
    """Return a new chain of certificates and the private key of the first, as PEM.

    The profile is C2PA's: a signing certificate that is not its own issuer, with one usage of its key.
    """
    now = now or datetime.now(UTC)
    issuer_key, key = ec.generate_private_key(ec.SECP256R1()), ec.generate_private_key(ec.SECP256R1())
    issuer, subject = _called("Easel root"), _called("Easel")

    def unsigned(name: x509.Name, public: ec.EllipticCurvePublicKey) -> x509.CertificateBuilder:
        return (
            x509.CertificateBuilder(issuer_name=issuer, subject_name=name, public_key=public)
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - timedelta(minutes=5))  # clocks differ
            .not_valid_after(now + LIFETIME)
            .add_extension(x509.SubjectKeyIdentifier.from_public_key(public), critical=False)
        )

    root = (
        unsigned(issuer, issuer_key.public_key())
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(_usage(signs_certificates=True), critical=True)
        .sign(issuer_key, hashes.SHA256())
    )
    own = (
        unsigned(subject, key.public_key())
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(_usage(signs_certificates=False), critical=True)
        .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.EMAIL_PROTECTION]), critical=False)
        .add_extension(
            x509.AuthorityKeyIdentifier.from_issuer_public_key(issuer_key.public_key()), critical=False
        )
        .sign(issuer_key, hashes.SHA256())
    )
    chain = b"".join(each.public_bytes(serialization.Encoding.PEM) for each in (own, root))
    return chain, key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )


def _called(name: str) -> x509.Name:
    return x509.Name(
        [
            x509.NameAttribute(NameOID.COMMON_NAME, name),
            x509.NameAttribute(NameOID.ORGANIZATION_NAME, "Easel"),
        ]
    )


def _usage(*, signs_certificates: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=not signs_certificates,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        key_cert_sign=signs_certificates,
        crl_sign=signs_certificates,
        encipher_only=False,
        decipher_only=False,
    )


def _own(certificate: str, private_key: str, mark: bytes) -> Keys:
    if not certificate or not private_key:
        raise SettingError("SIGNING_CERTIFICATE and SIGNING_KEY belong together: set both, or neither.")
    try:
        certificates, private = (Path(each).expanduser().read_bytes() for each in (certificate, private_key))
    except OSError as error:
        raise SettingError(f"The certificate for signing cannot be read: {error}.") from error
    return _checked(certificates, private, mark, own=True)


def _checked(certificates: bytes, private: bytes, mark: bytes, *, own: bool) -> Keys:
    """Return the keys if they fit each other and hold today. Raises SettingError."""
    where = "SIGNING_CERTIFICATE" if own else CERTIFICATES
    try:
        first = x509.load_pem_x509_certificates(certificates)[0]
        key = serialization.load_pem_private_key(private, password=None)
    except (ValueError, TypeError, IndexError) as error:
        raise SettingError(f"{where} or its key is no PEM file that can be read: {error}.") from error
    if first.public_key() != key.public_key():
        raise SettingError(f"{where} does not fit its key: give the key that it was made for.")
    if not first.not_valid_before_utc <= datetime.now(UTC) <= first.not_valid_after_utc:
        raise SettingError(
            f"{where} holds from {first.not_valid_before_utc:%Y-%m-%d} to "
            f"{first.not_valid_after_utc:%Y-%m-%d}: give one that holds today."
        )
    return Keys(certificates, private, mark, _algorithm(key, where), own)


def _algorithm(key: PrivateKeyTypes, where: str) -> str:
    match key:
        case ec.EllipticCurvePrivateKey() if key.curve.name in ALGORITHMS:
            return ALGORITHMS[key.curve.name]
        case ed25519.Ed25519PrivateKey():
            return "ed25519"
        case rsa.RSAPrivateKey() if key.key_size >= 2048:
            return "ps256"
    raise SettingError(f"The key of {where} is of a kind that C2PA does not take: use P-256, for example.")


def _write(path: Path, content: bytes) -> None:
    with private.whole(path) as file:
        file.write(content)
