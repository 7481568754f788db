"""Two workers cannot share one directory of rows."""

from dataclasses import replace

from stream_app.demo.session import free_port
from stream_app.streaming.exits import ExitCode


def test_a_second_worker_on_the_same_directory_is_refused(settings, start_worker, tmp_path) -> None:
    on_disk = replace(settings, state_store="rocksdb", state_dir=str(tmp_path / "rows"))
    first = start_worker(on_disk).wait_until_ready()
    second = start_worker(replace(on_disk, metrics_port=free_port()))
    assert second.wait(60) == ExitCode.CONFIGURATION, second.output
    assert "state_dir of its own" in second.output
    assert first.process.poll() is None, first.output
