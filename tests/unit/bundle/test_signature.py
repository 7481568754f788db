"""With a public key set, only what its owner signed is read at all."""

from __future__ import annotations

import base64
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner, Result
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from sample_bundle import bundle_parts, write_sample_bundle

from stream_app.bundle import BundleError, load_bundle, manifest, write_bundle
from stream_app.bundle.files import SigningError
from stream_app.cli import group
from stream_app.errors import UserError

SIGNATURE = "manifest.json.sig"


@pytest.fixture(scope="module")
def original(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_sample_bundle(tmp_path_factory.mktemp("bundles") / "sample")


@pytest.fixture
def keys(tmp_path: Path) -> tuple[Path, Path]:
    """Private and public key."""
    private, public = tmp_path / "release.key", tmp_path / "release.pub"
    run("keygen", private, public)
    return private, public


@pytest.fixture
def signed(original: Path, tmp_path: Path, keys: tuple[Path, Path]) -> Path:
    bundle = Path(shutil.copytree(original, tmp_path / "sample"))
    run("sign", bundle, "--key", keys[0])
    return bundle


def run(*arguments: object, error: str = "") -> Result:
    """`stream-app bundle ...`; with `error`, which must be refused in words that hold it."""
    result = CliRunner().invoke(group, ["bundle", *map(str, arguments)])
    if error:
        assert isinstance(result.exception, UserError)
        assert error in str(result.exception)
    else:
        assert result.exit_code == 0, result.exception
    return result


def refused(bundle: Path, public: Path, words: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Loading is refused with these words, before the manifest is even parsed."""
    monkeypatch.setattr(manifest, "parse_manifest", _must_not_run)
    with pytest.raises((BundleError, SigningError), match=words):
        load_bundle(bundle, public_key=public)


def _must_not_run(*_: object) -> None:
    raise AssertionError("the manifest was interpreted before its signature was checked")


def test_a_signed_bundle_loads(signed, keys) -> None:
    assert load_bundle(signed, public_key=keys[1]).release == "sample@1"
    assert load_bundle(signed).release == "sample@1"  # who has no key takes any bundle
    assert "signed with key" in run("verify", signed, "--public-key", keys[1]).output


def test_the_signature_is_plain_ed25519(signed, keys) -> None:
    """Another program can make and check it: raw signature of the manifest's bytes, base64."""
    public = serialization.load_pem_public_key(keys[1].read_bytes())
    raw = base64.b64decode((signed / SIGNATURE).read_bytes())
    assert len(raw) == 64
    public.verify(raw, (signed / "manifest.json").read_bytes())


def test_an_unsigned_bundle_is_refused(signed, keys, monkeypatch) -> None:
    (signed / SIGNATURE).unlink()
    refused(signed, keys[1], "is not signed, and only signed ones are taken", monkeypatch)


def test_one_changed_byte_of_the_manifest_is_refused(signed, keys, monkeypatch) -> None:
    """Also a change that is none to a reader: what is signed are the bytes."""
    file = signed / "manifest.json"
    file.write_bytes(file.read_bytes() + b" ")
    refused(signed, keys[1], "or the manifest was changed after it was signed", monkeypatch)


def test_another_key_is_refused(signed, tmp_path, monkeypatch) -> None:
    run("keygen", tmp_path / "other.key", tmp_path / "other.pub")
    refused(signed, tmp_path / "other.pub", "not made with the key of .*other.pub", monkeypatch)


def test_a_signature_of_another_bundle_is_refused(signed, keys, tmp_path, monkeypatch) -> None:
    other = tmp_path / "other"
    write_bundle(other, **bundle_parts() | {"version": "2"})
    run("sign", other, "--key", keys[0])
    shutil.copy(other / SIGNATURE, signed / SIGNATURE)
    refused(signed, keys[1], "the signature is not made with the key", monkeypatch)


@pytest.mark.parametrize(
    "text", [b"", b"\n", b"AAAA", b"no base64!", b"\xff" * 64, base64.b64encode(bytes(65))]
)
def test_a_signature_that_is_none_is_refused(signed, keys, monkeypatch, text) -> None:
    (signed / SIGNATURE).write_bytes(text)
    refused(signed, keys[1], "holds no base64 of an Ed25519 signature", monkeypatch)


def test_a_signature_of_zeros_is_refused(signed, keys, monkeypatch) -> None:
    (signed / SIGNATURE).write_bytes(base64.b64encode(bytes(64)))
    refused(signed, keys[1], "the signature is not made with the key", monkeypatch)


def test_a_signature_behind_a_link_is_refused(signed, keys, tmp_path, monkeypatch) -> None:
    (signed / SIGNATURE).rename(tmp_path / "elsewhere")
    (signed / SIGNATURE).symlink_to(tmp_path / "elsewhere")
    refused(signed, keys[1], "manifest.json.sig is a symbolic link", monkeypatch)


def test_a_file_changed_after_signing_is_refused(signed, keys) -> None:
    (signed / "items.msgpack").write_bytes(b"changed")
    with pytest.raises(BundleError, match=r"items.msgpack sha256 differs"):
        load_bundle(signed, public_key=keys[1])
    run("verify", signed, "--public-key", keys[1], error="items.msgpack sha256 differs")


def test_a_manifest_made_to_match_a_changed_file_is_refused(signed, keys, monkeypatch) -> None:
    """What checksums alone cannot see."""
    file = signed / "manifest.json"
    changed = json.loads(file.read_text())
    changed["version"] = "2"
    file.write_text(json.dumps(changed))
    assert load_bundle(signed).release == "sample@2"
    refused(signed, keys[1], "the signature is not made with the key", monkeypatch)


def test_keys_that_cannot_be_used_are_named(signed, keys, tmp_path, monkeypatch) -> None:
    refused(signed, tmp_path / "none.pub", "none.pub: cannot be read: No such file", monkeypatch)
    (tmp_path / "junk.pub").write_text("junk")
    refused(signed, tmp_path / "junk.pub", "junk.pub: is no PEM public key", monkeypatch)
    refused(signed, keys[0], "release.key: is no PEM public key", monkeypatch)
    elliptic = ec.generate_private_key(ec.SECP256R1()).public_key()
    (tmp_path / "ec.pub").write_bytes(
        elliptic.public_bytes(
            serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
        )
    )
    refused(signed, tmp_path / "ec.pub", "ec.pub: is no Ed25519 key", monkeypatch)


def test_only_a_whole_bundle_is_signed(signed, keys) -> None:
    (signed / SIGNATURE).unlink()
    (signed / "vectors.npy").write_bytes(b"changed")
    run("sign", signed, "--key", keys[0], error="vectors.npy sha256 differs")
    assert not (signed / SIGNATURE).exists()


def test_verify_says_what_it_did_not_check(signed) -> None:
    assert "signature not checked: pass --public-key" in run("verify", signed).output
    (signed / SIGNATURE).unlink()
    assert "5 files as in the manifest, not signed" in run("verify", signed).output


def test_a_private_key_is_for_its_owner_and_never_written_over(keys, tmp_path) -> None:
    private, public = keys
    assert private.stat().st_mode & 0o777 == 0o600
    before = private.read_bytes()
    run("keygen", private, tmp_path / "new.pub", error="release.key: exists")
    run("keygen", tmp_path / "new.key", public, error="release.pub: exists")
    assert private.read_bytes() == before
    assert not (tmp_path / "new.key").exists()
    assert not (tmp_path / "new.pub").exists()


def test_a_locked_key_needs_its_password(signed, tmp_path) -> None:
    (tmp_path / "password").write_text("distinctive-Pass-7\n")
    (tmp_path / "wrong").write_text("other")
    private, public = tmp_path / "locked.key", tmp_path / "locked.pub"
    run("keygen", private, public, "--key-password-file", tmp_path / "password")
    assert b"ENCRYPTED" in private.read_bytes()
    run("sign", signed, "--key", private, error="or its password is wrong")
    wrong = ("--key-password-file", tmp_path / "wrong")
    refusal = run("sign", signed, "--key", private, *wrong, error="or its password is wrong")
    assert "other" not in str(refusal.exception)
    run("sign", signed, "--key", private, "--key-password-file", tmp_path / "password")
    assert load_bundle(signed, public_key=public).release == "sample@1"


def test_a_key_of_another_kind_does_not_sign(signed, tmp_path) -> None:
    elliptic = ec.generate_private_key(ec.SECP256R1())
    for name, key in (("ec.key", elliptic), ("good.key", Ed25519PrivateKey.generate())):
        (tmp_path / name).write_bytes(
            key.private_bytes(
                serialization.Encoding.PEM,
                serialization.PrivateFormat.PKCS8,
                serialization.NoEncryption(),
            )
        )
    run("sign", signed, "--key", tmp_path / "ec.key", error="ec.key: is no Ed25519 key")
    run("sign", signed, "--key", tmp_path / "good.key")


WITHOUT = """
import sys
sys.modules["cryptography"] = None
from stream_app.cli import main
sys.argv = ["stream-app", *sys.argv[1:]]
main()
"""


def test_without_the_package_only_signatures_are_missing(signed, keys) -> None:
    """cryptography is an extra: a worker that takes any bundle runs without it."""

    def command(*arguments: str, **environment: str) -> str:
        result = subprocess.run(
            [sys.executable, "-c", WITHOUT, *arguments],
            env={**os.environ, **environment}, capture_output=True, text=True,
        )  # fmt: skip
        assert result.returncode in (2, 3), result.stderr
        return result.stderr

    missing = "signatures need the package cryptography: pip install 'stream-app[signing]'"
    nowhere = ("--bundle", str(signed), "--bootstrap-servers", "127.0.0.1:1")
    assert missing in command("bundle", "verify", str(signed))
    assert missing in command("worker", *nowhere, "--bundle-public-key", str(keys[1]))
    loaded = "its encoder takes 5 features of an event"  # what is said of this small one
    assert loaded in command("worker", *nowhere)
