"""``signature.json``: an Ed25519 signature (RFC 8032) of the list of hashes, and so of every member.

Keys are PEM files, as written by ``openssl genpkey -algorithm ed25519``. The public key in the file is only a hint:
check the signature with a key from another source.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mmkeras.bundle.archive.listing import strict_json
from mmkeras.bundle.archive.names import SIGNATURE
from mmkeras.core.errors import ArchiveError, ConfigError, require

__all__ = ["Signature", "read_signature", "sign", "verify"]

_ALGORITHM = "ed25519"
# A signature for another purpose with the same key must not be valid here.
_PURPOSE = b"mmkeras packed bundle 1\n"
_HELP = "Write a pair with: openssl genpkey -algorithm ed25519 -out KEY.pem; openssl pkey -in KEY.pem -pubout"


@dataclass(frozen=True)
class Signature:
    """The content of ``signature.json``."""

    public_key: str
    """The signer's public key, 32 bytes in hex; unproven."""
    signature: str
    """64 bytes in hex."""

    def render(self) -> bytes:
        """Return the file's content."""
        value = {"algorithm": _ALGORITHM, "public_key": self.public_key, "signature": self.signature}
        return (json.dumps(value, indent=1) + "\n").encode("ascii")


def read_signature(content: bytes, where: str) -> Signature:
    """Read ``signature.json``."""
    value = strict_json(content, f"{where}: {SIGNATURE}")
    given = value if isinstance(value, dict) else {}
    found = Signature(str(given.get("public_key")), str(given.get("signature")))
    fits = re.fullmatch("[0-9a-f]{64}", found.public_key) and re.fullmatch("[0-9a-f]{128}", found.signature)
    if not fits or content != found.render():
        raise ArchiveError(f"{where}: {SIGNATURE}: is not written as `mmkeras sign` writes it. Copy or sign it again.")
    return found


def sign(listing: bytes, key: str | Path) -> Signature:
    """Sign the list of hashes with an Ed25519 private key, PEM without a password.

    Raises:
        ConfigError: no such file, or another kind of key.
        DependencyError: the package cryptography is not installed.
    """
    serialization = require("cryptography.hazmat.primitives.serialization", "sign", "cryptography")
    private = _load(key, "private", lambda data: serialization.load_pem_private_key(data, password=None))
    raw = private.public_key().public_bytes(serialization.Encoding.Raw, serialization.PublicFormat.Raw)
    return Signature(raw.hex(), private.sign(_PURPOSE + listing).hex())


def verify(listing: bytes, signature: Signature | None, key: str | Path, where: str) -> None:
    """Check the signature of a list of hashes against a public key (PEM).

    Raises:
        ArchiveError: not signed, or not with this key.
        ConfigError: no such key file, or another kind of key.
        DependencyError: the package cryptography is not installed.
    """
    serialization = require("cryptography.hazmat.primitives.serialization", "sign", "cryptography")
    exceptions = require("cryptography.exceptions", "sign", "cryptography")
    public = _load(key, "public", serialization.load_pem_public_key)
    if signature is None:
        raise ArchiveError(
            f"{where}: the member {SIGNATURE!r} is missing: expected a signature that fits {key}, got an unsigned "
            "bundle. Sign it with: mmkeras sign BUNDLE.mmk --sign KEY"
        )
    try:
        public.verify(bytes.fromhex(signature.signature), _PURPOSE + listing)
    except exceptions.InvalidSignature as error:
        raise ArchiveError(
            f"{where}: the member {SIGNATURE!r} does not fit {key}: the bundle was signed with another key "
            f"(it names {signature.public_key[:16]}...) or altered. It is not read."
        ) from error


def _load(path: str | Path, kind: str, load: Any) -> Any:
    try:
        data = Path(path).read_bytes()
    except OSError as error:
        raise ConfigError(f"{path}: the {kind} key cannot be read: {error.strerror}. {_HELP}") from error
    try:
        key = load(data)
    except Exception as error:  # cryptography raises many kinds of errors on other files
        raise ConfigError(f"{path}: expected an Ed25519 {kind} key in PEM, got something else ({error}).") from error
    if "Ed25519" not in type(key).__name__:
        raise ConfigError(f"{path}: expected an Ed25519 {kind} key in PEM, got {type(key).__name__}. {_HELP}")
    return key
