"""Keys and a packed bundle for every test here."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.bundle.archive.samples import packed


@pytest.fixture(scope="session")
def keys(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Key files: a pair, another public key, and one that is not Ed25519."""
    serialization = pytest.importorskip(
        "cryptography.hazmat.primitives.serialization", reason="needs the extra: pip install 'mmkeras[sign]'"
    )
    from cryptography.hazmat.primitives.asymmetric import ec, ed25519

    folder = tmp_path_factory.mktemp("keys")
    pem, plain = serialization.Encoding.PEM, serialization.NoEncryption()
    private = ed25519.Ed25519PrivateKey.generate()

    def public(key) -> bytes:
        return key.public_key().public_bytes(pem, serialization.PublicFormat.SubjectPublicKeyInfo)

    files = {
        "private": private.private_bytes(pem, serialization.PrivateFormat.PKCS8, plain),
        "public": public(private),
        "other": public(ed25519.Ed25519PrivateKey.generate()),
        "elliptic": public(ec.generate_private_key(ec.SECP256R1())),
        "text": b"no key\n",
    }
    for name, content in files.items():
        (folder / name).write_bytes(content)
    return {name: folder / name for name in files}


@pytest.fixture(scope="session")
def unsigned(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A packed bundle; never change it."""
    return packed(tmp_path_factory.mktemp("unsigned"))


@pytest.fixture(scope="session")
def signed(tmp_path_factory: pytest.TempPathFactory, keys: dict[str, Path]) -> Path:
    """A signed packed bundle; never change it."""
    return packed(tmp_path_factory.mktemp("signed"), keys["private"])
