"""Kept plans come back unchanged, for the same machine and graph only, and from our own files."""

from __future__ import annotations

import os

import pytest

from stream_app.encoders.tensorrt import cache as cache_module
from stream_app.encoders.tensorrt.build import Recipe
from stream_app.encoders.tensorrt.cache import PlanCache, default_directory, plan_fields
from stream_app.encoders.tensorrt.library import TensorrtError

MACHINE = {"gpu": "H100", "capability": "9.0", "driver": "13000"}


def fields(recipe=None, machine=MACHINE, library="tensorrt", version="11.4", **content):
    content = content or {"graph": "ab"}
    return plan_fields(machine, library, version, recipe or Recipe(), content)


@pytest.fixture
def cache(tmp_path):
    made = PlanCache(tmp_path / "parent" / "engines")
    yield made
    made.close()


def only_file(tmp_path):
    (file,) = (tmp_path / "parent" / "engines").iterdir()
    return file


def test_a_plan_comes_back(cache, tmp_path):
    assert cache.get(fields()) is None
    cache.put(fields(), b"plan\nwith lines\0")
    assert cache.get(fields()) == b"plan\nwith lines\0"
    cache.put(fields(), b"newer")
    assert cache.get(fields()) == b"newer"
    assert os.stat(only_file(tmp_path)).st_mode & 0o777 == 0o600
    assert os.stat(tmp_path / "parent" / "engines").st_mode & 0o777 == 0o700


@pytest.mark.parametrize(
    "other",
    [
        fields(graph="ac"),
        fields(structure="ab"),
        fields(library="tensorrt_rtx"),
        fields(version="11.5"),
        *(fields(machine=MACHINE | {name: "other"}) for name in MACHINE),
        fields(Recipe(regimes=((1, 1, 1),))),
        fields(Recipe(window=50)),
        fields(Recipe(refit=True)),
        fields() | {"format": "0"},
    ],
)
def test_a_plan_is_for_what_it_was_made_for_only(cache, other):
    cache.put(fields(), b"plan")
    assert cache.get(other) is None


@pytest.mark.parametrize(
    "damage",
    [
        lambda raw: raw[:-1],
        lambda raw: raw[:-1] + bytes([raw[-1] ^ 1]),
        lambda raw: b"",
        lambda raw: b"no header\n" + raw,
        lambda raw: raw.replace(b"H100", b"H200"),
        lambda raw: raw + b"more",
    ],
)
def test_a_damaged_plan_is_not_taken(cache, tmp_path, caplog, damage):
    cache.put(fields(), b"plan")
    file = only_file(tmp_path)
    file.write_bytes(damage(file.read_bytes()))
    assert cache.get(fields()) is None
    assert "it is built again" in caplog.text


def test_a_file_that_others_can_write_is_not_taken(cache, tmp_path, caplog):
    cache.put(fields(), b"plan")
    only_file(tmp_path).chmod(0o620)
    assert cache.get(fields()) is None
    assert "is open to other users (mode 620); close it with chmod 600" in caplog.text


def test_a_link_or_a_pipe_is_not_followed(cache, tmp_path, caplog):
    cache.put(fields(), b"plan")
    file = only_file(tmp_path)
    file.rename(tmp_path / "elsewhere")
    file.symlink_to(tmp_path / "elsewhere")
    assert cache.get(fields()) is None
    file.unlink()
    os.mkfifo(file, 0o600)
    assert cache.get(fields()) is None
    assert "is not a plain file" in caplog.text


def test_files_of_another_user_are_not_taken(cache, tmp_path, monkeypatch, caplog):
    cache.put(fields(), b"plan")
    monkeypatch.setattr(cache_module.os, "geteuid", lambda: os.getuid() + 1)
    assert cache.get(fields()) is None
    assert f"belongs to user {os.getuid()}, not to this one" in caplog.text
    with pytest.raises(TensorrtError, match=f"belongs to user {os.getuid()}"):
        PlanCache(tmp_path / "parent" / "engines")


@pytest.mark.parametrize("mode", [0o770, 0o701, 0o755])
def test_a_directory_open_to_others_is_refused(tmp_path, mode):
    (tmp_path / "engines").mkdir()
    (tmp_path / "engines").chmod(mode)
    with pytest.raises(TensorrtError, match=f"open to other users .mode {mode:o}.; .* chmod 700"):
        PlanCache(tmp_path / "engines")


def test_a_directory_that_cannot_be_made_or_is_a_link_is_refused(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(TensorrtError, match=r"engine cache .*: Not a directory"):
        PlanCache(tmp_path / "file" / "engines")
    (tmp_path / "real").mkdir(mode=0o700)
    (tmp_path / "link").symlink_to(tmp_path / "real")
    with pytest.raises(TensorrtError, match=r"engine cache .*link"):
        PlanCache(tmp_path / "link")


def test_the_directory_cannot_be_exchanged_after_the_check(cache, tmp_path):
    cache.put(fields(), b"plan")
    name = only_file(tmp_path).name
    (tmp_path / "parent").rename(tmp_path / "moved")
    (tmp_path / "parent" / "engines").mkdir(parents=True)
    (tmp_path / "parent" / "engines" / name).write_bytes(b"of somebody else")
    assert cache.get(fields()) == b"plan"


def test_the_oldest_plans_go(cache, tmp_path, monkeypatch):
    monkeypatch.setattr(cache_module, "KEPT", 2)
    for age, name in enumerate("abc"):
        cache.put(fields(graph=name), name.encode())
        for file in (tmp_path / "parent" / "engines").iterdir():
            if file.read_bytes().endswith(b"\n" + name.encode()):
                os.utime(file, (age, age))
    assert [cache.get(fields(graph=name)) for name in "abc"] == [None, b"b", b"c"]


def test_a_full_disk_costs_no_more_than_a_build(cache, monkeypatch, caplog):
    def full(*_, **__):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(cache_module.os, "replace", full)
    cache.put(fields(), b"plan")
    assert "not kept: No space left on device" in caplog.text
    monkeypatch.undo()
    assert cache.get(fields()) is None


def test_the_default_directory_is_the_users_cache(monkeypatch, tmp_path):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert default_directory() == tmp_path / "stream-app" / "engines"
    monkeypatch.delenv("XDG_CACHE_HOME")
    monkeypatch.setenv("HOME", str(tmp_path))
    assert default_directory() == tmp_path / ".cache" / "stream-app" / "engines"
    monkeypatch.setattr(cache_module.os.path, "expanduser", lambda path: path)
    assert default_directory().name.startswith("stream-app-engines-")
