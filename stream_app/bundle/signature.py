"""Signatures of bundles: who made a release, where the checksums only say that it is whole.

The manifest holds the SHA-256 of every other file, so the signature of its bytes covers the bundle.
`manifest.json.sig` is the base64 of a raw Ed25519 signature (RFC 8032). Keys are PEM files.
Needs the package cryptography, the extra `signing`: import this file where it is used.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import os
from pathlib import Path

from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from stream_app.bundle.files import SIGNATURE_FILE, BundleError, SigningError, read_file

SIGNATURE_BYTES = 64


def check_signature(path: Path, manifest: bytes, public_key: Path) -> None:
    """Raise `BundleError` unless the bundle at `path` is signed with the key of `public_key`.

    `manifest` are the bytes of its manifest, which nobody has interpreted yet.
    """
    key = load_public_key(public_key)
    if not (path / SIGNATURE_FILE).exists():
        raise BundleError(
            f"bundle {path}: is not signed, and only signed ones are taken (bundle_public_key is "
            "set); sign it with `stream-app bundle sign`"
        )
    text = read_file(path, SIGNATURE_FILE)
    try:
        signature = base64.b64decode(text.strip(), validate=True)
    except binascii.Error:
        signature = b""
    if len(signature) != SIGNATURE_BYTES:
        raise BundleError(
            f"bundle {path}: {SIGNATURE_FILE} holds no base64 of an Ed25519 signature"
        )
    try:
        key.verify(signature, manifest)
    except InvalidSignature:
        raise BundleError(
            f"bundle {path}: the signature is not made with the key of {public_key}, or the "
            "manifest was changed after it was signed; do not serve it"
        ) from None


def sign(path: Path, manifest: bytes, key: Ed25519PrivateKey) -> None:
    """Write the signature of `manifest`, the bytes of the manifest of the bundle at `path`."""
    draft = path / f".{SIGNATURE_FILE}"
    draft.write_bytes(base64.b64encode(key.sign(manifest)) + b"\n")
    draft.replace(path / SIGNATURE_FILE)


def load_public_key(file: Path) -> Ed25519PublicKey:
    """Read a PEM public key. Raises `SigningError`."""
    try:
        key = serialization.load_pem_public_key(_read_key(file))
    except (ValueError, UnsupportedAlgorithm):
        raise SigningError(f"{file}: is no PEM public key") from None
    if not isinstance(key, Ed25519PublicKey):
        raise SigningError(f"{file}: is no Ed25519 key; make one with `stream-app bundle keygen`")
    return key


def load_private_key(file: Path, password: str | None = None) -> Ed25519PrivateKey:
    """Read a PEM private key, locked with `password` or not. Raises `SigningError`."""
    try:
        key = serialization.load_pem_private_key(
            _read_key(file), password.encode() if password is not None else None
        )
    except (ValueError, TypeError, UnsupportedAlgorithm):
        raise SigningError(f"{file}: is no PEM private key, or its password is wrong") from None
    if not isinstance(key, Ed25519PrivateKey):
        raise SigningError(f"{file}: is no Ed25519 key; make one with `stream-app bundle keygen`")
    return key


def write_keys(private: Path, public: Path, password: str | None = None) -> str:
    """Make a key pair and write it; returns its fingerprint. Raises `SigningError`.

    Never writes over a file. The private key is readable by this user only.
    """
    for file in (private, public):
        if file.exists():
            raise SigningError(f"{file}: exists; a key is never written over")
    key = Ed25519PrivateKey.generate()
    lock: serialization.KeySerializationEncryption = serialization.NoEncryption()
    if password is not None:
        lock = serialization.BestAvailableEncryption(password.encode())
    pem = key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, lock)
    _write_new(public, _public_pem(key.public_key()), 0o644)
    _write_new(private, pem, 0o600)
    return fingerprint(key.public_key())


def fingerprint(key: Ed25519PublicKey) -> str:
    """The first 16 hexadecimal digits of the SHA-256 of the raw public key, for people."""
    return hashlib.sha256(key.public_bytes_raw()).hexdigest()[:16]


def _public_pem(key: Ed25519PublicKey) -> bytes:
    return key.public_bytes(
        serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
    )


def _read_key(file: Path) -> bytes:
    try:
        return file.read_bytes()
    except OSError as error:
        raise SigningError(f"{file}: cannot be read: {error.strerror}") from None


def _write_new(file: Path, content: bytes, mode: int) -> None:
    try:
        descriptor = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode)
    except FileExistsError:
        raise SigningError(f"{file}: exists; a key is never written over") from None
    except OSError as error:
        raise SigningError(f"{file}: cannot be written: {error.strerror}") from None
    with os.fdopen(descriptor, "wb") as stream:
        stream.write(content)
