"""Test `edge/inotify.py`: names at once, growth on request."""

from __future__ import annotations

from pathlib import Path

from logferry_agent.edge.inotify import CREATED, IGNORED, MODIFIED, MOVED_TO, Change, Watcher


def test_growth_is_kept_until_requested(watcher: Watcher, tmp_path: Path) -> None:
    """Names are reported at once; repeated growth is one change."""
    log = tmp_path / "log"
    log.write_text("")
    watch = watcher.watch(str(tmp_path), MODIFIED | CREATED | MOVED_TO)
    assert watch is not None
    for line in range(20):
        with log.open("a") as file:
            file.write(f"{line}\n")
    assert watcher.wait(0, growth=False) == []
    log.rename(tmp_path / "log.1")
    assert watcher.wait(0, growth=False) == [Change(watch, MOVED_TO, "log.1")]
    assert watcher.wait(0) == [Change(watch, MODIFIED, "log")]
    assert watcher.wait(0) == []


def test_folder_is_reported_by_its_own_number_until_unwatched(watcher: Watcher, tmp_path: Path) -> None:
    """An unwatched one reports nothing, a deleted one reports it once."""
    before = _watches()
    left, gone = tmp_path / "left", tmp_path / "gone"
    for folder in (left, gone):
        folder.mkdir()
        (folder / "log").write_text("")
    watcher.watch(str(tmp_path), CREATED)  # for names only, so that the two instances count differently
    numbers = [watcher.watch(str(folder), MODIFIED | CREATED) for folder in (left, gone)]
    assert None not in numbers
    for folder in (left, gone):
        (folder / "log").write_text("x")
    assert {change.watch for change in watcher.wait(0)} == set(numbers)
    watcher.unwatch(numbers[0] or 0)
    (left / "log").write_text("y")
    (gone / "log").unlink()
    gone.rmdir()
    told = watcher.wait(0)
    assert {change.watch for change in told if change.mask & IGNORED} == set(numbers)
    assert not [change for change in told if change.mask & MODIFIED]
    assert _watches() == before + 1


def _watches() -> int:
    """Return what the kernel watches for this process."""
    return sum(path.read_text().count("inotify wd:") for path in Path("/proc/self/fdinfo").iterdir() if path.exists())


def test_missing_folder_is_not_watched(watcher: Watcher, tmp_path: Path) -> None:
    """The caller has to check by itself."""
    assert watcher.watch(str(tmp_path / "nowhere"), MODIFIED | CREATED) is None
