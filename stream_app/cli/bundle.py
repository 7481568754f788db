"""`stream-app bundle`: sign model releases, and check them before they are rolled out."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from stream_app.bundle.files import NO_SIGNATURES, SIGNATURE_FILE, SigningError
from stream_app.bundle.manifest import Manifest, parse_manifest, read_signed, read_verified
from stream_app.cli.options import echo, json_option

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
@json_option
def keygen(private: Path, public: Path, password_file: Path | None, as_json: bool) -> None:
    """Make an Ed25519 key pair: PRIVATE signs, PUBLIC goes to the workers.

    Whoever has PRIVATE can make workers load what they like: keep it where releases are made.
    """
    made = signature.write_keys(private, public, _read_password(password_file))
    value = {"key": made, "private": str(private), "public": str(public)}
    echo(as_json, value, f"key {made}: {private} signs, {public} verifies")


@command.command(name="sign")
@_BUNDLE
@click.option("--key", type=_FILE, required=True, help="Private key, PEM.")
@_password
@json_option
def sign_(bundle: Path, key: Path, password_file: Path | None, as_json: bool) -> None:
    """Sign BUNDLE once all its files match its manifest; an older signature is replaced."""
    private = signature.load_private_key(key, _read_password(password_file))
    manifest, raw = _verified(bundle, None)
    signature.sign(bundle, raw, private)
    signer = signature.fingerprint(private.public_key())
    value = {"release": manifest.release, "key": signer}
    echo(as_json, value, f"{manifest.release} signed with key {signer}")


@command.command()
@_BUNDLE
@click.option("--public-key", type=_FILE, help="Refuse what is not signed with this key, PEM.")
@json_option
def verify(bundle: Path, public_key: Path | None, as_json: bool) -> None:
    """Check every file of BUNDLE against its manifest, and with --public-key the signature.

    Nothing of it is run: whether the model works is tried out when a worker loads it.
    """
    manifest, _ = _verified(bundle, public_key)
    signed, key = "not signed", None
    if public_key is not None:
        key = signature.fingerprint(signature.load_public_key(public_key))
        signed = f"signed with key {key}"
    elif (bundle / SIGNATURE_FILE).exists():
        signed = "signature not checked: pass --public-key"
    count = len(manifest.files)
    value = {"release": manifest.release, "files": count, "signature": signed, "key": key}
    echo(as_json, value, f"{manifest.release}: {count} files as in the manifest, {signed}")


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
