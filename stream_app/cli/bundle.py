"""`stream-app bundle`: sign model releases, and check them before they are rolled out."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from stream_app.bundle.files import NO_SIGNATURES, SIGNATURE_FILE, SigningError
from stream_app.bundle.manifest import Manifest, parse_manifest, read_signed, read_verified

try:
    from stream_app.bundle import signature
except ModuleNotFoundError:
    raise SigningError(NO_SIGNATURES) from None

_FILE = click.Path(dir_okay=False, path_type=Path)
_BUNDLE = click.argument("bundle", type=click.Path(path_type=Path))


def _password(function: Any) -> Any:
    return click.option(
        "--key-password-file", "password_file", type=_FILE,
        help="File with the password that locks the private key.",
    )(function)  # fmt: skip


@click.group()
def command() -> None:
    """Sign a model release, verify one, or make keys for both."""


@command.command()
@click.argument("private", type=_FILE)
@click.argument("public", type=_FILE)
@_password
def keygen(private: Path, public: Path, password_file: Path | None) -> None:
    """Make an Ed25519 key pair: PRIVATE signs, PUBLIC goes to the workers.

    Whoever has PRIVATE can make workers load what they like: keep it where releases are made.
    """
    made = signature.write_keys(private, public, _read_password(password_file))
    click.echo(f"key {made}: {private} signs, {public} verifies")


@command.command(name="sign")
@_BUNDLE
@click.option("--key", type=_FILE, required=True, help="Private key, PEM.")
@_password
def sign_(bundle: Path, key: Path, password_file: Path | None) -> None:
    """Sign BUNDLE once all its files match its manifest; an older signature is replaced."""
    private = signature.load_private_key(key, _read_password(password_file))
    manifest, raw = _verified(bundle, None)
    signature.sign(bundle, raw, private)
    click.echo(f"{manifest.release} signed with key {signature.fingerprint(private.public_key())}")


@command.command()
@_BUNDLE
@click.option("--public-key", type=_FILE, help="Refuse what is not signed with this key, PEM.")
def verify(bundle: Path, public_key: Path | None) -> None:
    """Check every file of BUNDLE against its manifest, and with --public-key the signature.

    Nothing of it is run: whether the model works is tried out when a worker loads it.
    """
    manifest, _ = _verified(bundle, public_key)
    signed = "not signed"
    if public_key is not None:
        signed = f"signed with key {signature.fingerprint(signature.load_public_key(public_key))}"
    elif (bundle / SIGNATURE_FILE).exists():
        signed = "signature not checked: pass --public-key"
    click.echo(f"{manifest.release}: {len(manifest.files)} files as in the manifest, {signed}")


def _verified(bundle: Path, public_key: Path | None) -> tuple[Manifest, bytes]:
    raw = read_signed(bundle, public_key)
    manifest = parse_manifest(bundle, raw)
    read_verified(bundle, manifest)
    return manifest, raw


def _read_password(file: Path | None) -> str | None:
    if file is None:
        return None
    try:
        password = file.read_text(encoding="utf-8").rstrip("\r\n")
    except (OSError, UnicodeDecodeError) as error:
        raise SigningError(f"{file}: cannot be read: {error}") from None
    if not password:
        raise SigningError(f"{file}: is empty")
    return password
