"""Test `jobs`, `tail` and `export` against the viewers' contract."""

import errno
import json
import os
import random
import sys
import threading
from pathlib import Path

import pytest
from aiohttp import web
from tests.integration.cli.conftest import Run
from tests.support.viewer_cloud import ViewerCloud, job_id, lossy

from logferry_cli.terminal import sanitize_line
from logferry_protocol.events import Exited, Gap, Started, encode_event

PIECE = "p" * 16_384


def test_jobs_are_listed(cloud: ViewerCloud, run: Run) -> None:
    """The table shows what distinguishes jobs."""
    cloud.add_job("web")
    cloud.add_job("batch", state="exited")
    outcome = run("jobs")
    heading, web, batch = outcome.text.splitlines()
    assert heading.split()[:3] == ["JOB", "NAME", "STATE"]
    assert web.startswith(job_id("web").partition(".")[2][:12])
    assert "running" in web
    assert "exited" in batch
    assert outcome.status == 0


def test_jobs_json_is_one_array(cloud: ViewerCloud, run: Run) -> None:
    """It holds the whole records."""
    cloud.add_job("web", labels={"team": "a"})
    [record] = json.loads(run("jobs", "--json").out)
    assert record["job"] == job_id("web")
    assert record["container"]["labels"] == {"team": "a"}
    assert record["life"]["state"] == "running"


def test_no_jobs_prints_an_empty_array_and_a_sentence(cloud: ViewerCloud, run: Run) -> None:
    """A fresh deployment is not an error."""
    assert json.loads(run("jobs", "--json").out) == []
    outcome = run("jobs")
    assert (outcome.status, outcome.out) == (0, b"")
    assert "No jobs yet" in outcome.err


@pytest.mark.parametrize(
    ("option", "value"),
    [
        *(("--name", "nope"), ("--owner", "nobody"), ("--host", "h2"), ("--image", "x:1"), ("--label", "a=b c")),
        *(("--in-state", state) for state in ("created", "paused", "restarting", "exited", "removed", "lost")),
    ],
)
def test_filter_without_matches_is_reported(cloud: ViewerCloud, run: Run, option: str, value: str) -> None:
    """The message names the option and its value. It is no error, and `--json` prints an empty array."""
    outcome = run("jobs", option, value)
    assert (outcome.status, outcome.out) == (0, b"")
    said = f"{option} 'a=b c'" if " " in value else f"{option} {value}"
    assert outcome.err == f"No job that you can read matches {said}. Run `logferry jobs` to list all jobs.\n"
    outcome = run("jobs", option, value, "--json")
    assert (outcome.status, outcome.out, outcome.err) == (0, b"[]\n", "")


@pytest.mark.parametrize("state", ["failed", "", "RUNNING", "running,exited"])
def test_unknown_state_is_refused_with_the_valid_ones(cloud: ViewerCloud, run: Run, state: str) -> None:
    """A word that is no state would never match."""
    outcome = run("jobs", "--in-state", state)
    assert outcome.status == 2
    said = outcome.err.replace("│", " ").split()
    for known in ("created", "running", "paused", "restarting", "exited", "removed", "lost"):
        assert any(known in word for word in said)


def damage_record(cloud: ViewerCloud, name: str) -> None:
    """Damage a stored record as a different or hostile agent could have."""
    job = cloud.jobs[job_id(name)]
    life = job.record.life.model_copy(update={"exit_code": "none", "problem": "x" * 9999})
    job.record = job.record.model_copy(update={"life": life, "owner": "local"})


@pytest.mark.filterwarnings("ignore:Pydantic serializer warnings")
def test_damaged_record_is_one_row_and_its_job_is_readable(cloud: ViewerCloud, run: Run) -> None:
    """Other jobs are listed as usual."""
    for name in ("web", "poison", "db"):
        cloud.add_job(name, state="exited")
        cloud.append(name, [f"line of {name}"])
    damage_record(cloud, "poison")
    outcome = run("jobs")
    assert outcome.status == 0
    assert [row.split()[1:3] for row in outcome.text.splitlines()[1:]] == [
        *(["web", "exited"], ["poison", "damaged"], ["db", "exited"])
    ]
    assert len(outcome.err.splitlines()) == 1
    assert f"{job_id('poison')} is damaged (life.exit_code: " in outcome.err
    records = json.loads(run("jobs", "--json").out)
    assert [("damage" in record, record["container"]["name"]) for record in records] == [
        *((False, "web"), (True, "poison"), (False, "db"))
    ]
    for words in (["export", "poison", "--format", "text"], ["tail", "poison"], ["tail", job_id("poison")]):
        assert run(*words).text == "line of poison\n"
    assert run("verify", "poison").status == 0


@pytest.mark.filterwarnings("ignore:Pydantic serializer warnings")
@pytest.mark.parametrize("follow", [(), ("--follow",)])
def test_damaged_batch_is_reported_and_others_are_shown(
    cloud: ViewerCloud, run: Run, tmp_path: Path, follow: tuple[str, ...]
) -> None:
    """Its digest is wrong, or its fields are impossible. The exit status reports missing entries."""
    cloud.add_job("web", state="exited")
    streams = "o" * 11 + "s"
    cloud.append("web", [*(f"line {n}" for n in range(1, 12)), encode_event(Exited(exit_code=0))], streams, batch=2)
    damage_record(cloud, "web")
    facts = cloud.jobs[job_id("web")].facts
    facts[1]["digest"] = "0" * 64
    facts[3]["count"] = "two"
    facts[4]["body"] = "no base64!"
    wanted = "".join(f"line {n}\n" for n in (1, 2, 5, 6, 11))
    outcome = run("tail", "web", *follow)
    assert outcome.text == wanted
    assert outcome.status == 1
    for said in ("(3 to 4) cannot be read", "(7 to 8) cannot be read", "(9 to 10) cannot be read"):
        assert said in outcome.err
    if follow:
        return
    file = tmp_path / "web.txt"
    outcome = run("export", "web", "--format", "text", "-o", str(file))
    assert (outcome.status, file.read_text(), len(outcome.err.splitlines())) == (1, wanted, 3)
    report = run("verify", "web")
    assert report.status == 1
    assert [line[:8] for line in report.text.splitlines() if "✗" in line] == ["✗ batch ", "✗ batch ", "✗ batch "]


def on_terminal(run: Run, monkeypatch: pytest.MonkeyPatch, *words: str) -> str:
    """Return what a command writes when its output is a terminal."""
    master, slave = os.openpty()
    with os.fdopen(slave, "w") as terminal, monkeypatch.context() as patched:
        patched.setattr(sys, "stdout", terminal)
        assert run(*words).status == 0
        written = os.read(master, 65_536).decode()
    os.close(master)
    return written.replace("\r\n", "\n")


def test_export_to_a_terminal_is_neutralised(
    cloud: ViewerCloud, run: Run, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """It matches `tail`. A pipe and a file get every byte, and JSON stays JSON of the same text."""
    hostile = "\x1b]52;c;cm0=\x07\x1b]8;;http://evil\x1b\\x\x1b]8;;\x1b\\ \x9b2J \u202e \U000e0041 \x1b[31mred"
    cloud.add_job("web")
    cloud.append("web", [hostile, "日本"])
    shown = on_terminal(run, monkeypatch, "export", "web", "--format", "text")
    assert shown == f"{sanitize_line(hostile)}\n日本\n"
    assert not set("\x07\x9b\u202e") & set(shown)
    document = on_terminal(run, monkeypatch, "export", "web", "--format", "jsonl")
    assert [json.loads(line)["line"] for line in document.splitlines()] == [hostile, "日本"]
    assert not set("\x07\x1b\x9b\u202e\U000e0041") & set(document)
    assert "日本" in document
    assert run("export", "web", "--format", "text").text == f"{hostile}\n日本\n"
    run("export", "web", "--format", "text", "-o", str(tmp_path / "file"))
    assert (tmp_path / "file").read_text() == f"{hostile}\n日本\n"


def test_lists_on_a_terminal_are_neutralised(cloud: ViewerCloud, run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    """Names, images and labels are as hostile as lines."""
    hostile = "a\x1b]0;x\x07\x9b2J\u202e"
    cloud.add_job("evil", image=hostile, host=hostile, labels={"k": hostile})
    for words in (["jobs"], ["jobs", "--json"], ["verify", "evil"]):
        shown = on_terminal(run, monkeypatch, *words)
        assert not set("\x07\x9b\u202e") & set(shown)
        assert "\x1b]" not in shown
    [record] = json.loads(on_terminal(run, monkeypatch, "jobs", "--json"))
    assert record["container"]["labels"] == {"k": hostile}


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs Linux's /dev/full")
@pytest.mark.parametrize(
    "words",
    [
        *(["jobs"], ["jobs", "--json"], ["tail", "web"], ["export", "web", "--format", "text"]),
        *(
            ["export", "web", "--format", "jsonl"],
            ["verify", "web"],
            ["verify", "web", "--json"],
            ["doctor"],
            ["--help"],
        ),
    ],
)
def test_every_command_handles_a_full_disk_and_a_broken_pipe(
    cloud: ViewerCloud, run: Run, monkeypatch: pytest.MonkeyPatch, words: list[str]
) -> None:
    """A full disk gives one line and status 1; a broken pipe gives nothing and status 141."""
    cloud.add_job("web")
    cloud.append("web", [f"row {n}" for n in range(5000)])
    with open("/dev/full", "w") as disk, monkeypatch.context() as patched:
        patched.setattr(sys, "stdout", disk)
        outcome = run(*words)
    said = "logferry: The output cannot be written (No space left on device). Check that the disk is not full.\n"
    assert (outcome.status, outcome.err) == (1, said)
    reading, writing = os.pipe()
    os.close(reading)
    with os.fdopen(writing, "w") as pipe, monkeypatch.context() as patched:
        patched.setattr(sys, "stdout", pipe)
        outcome = run(*words)
    assert (outcome.status, outcome.err) == (141, "")


def test_full_disk_keeps_the_old_export_file(
    cloud: ViewerCloud, run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The message names the file, and no temporary file remains."""
    cloud.add_job("web")
    cloud.append("web", ["line"])
    wanted = tmp_path / "out.txt"
    wanted.write_text("old")

    def full(_descriptor: int) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "fsync", full)
    outcome = run("export", "web", "--format", "text", "-o", str(wanted))
    assert outcome.status == 1
    said = f"{wanted} cannot be written (No space left on device). Check that the disk is not full."
    assert outcome.err == f"logferry: {said}\n"
    assert wanted.read_text() == "old"
    assert list(tmp_path.iterdir()) == [wanted]


def test_export_to_a_device_or_pipe_writes_into_it(cloud: ViewerCloud, run: Run, tmp_path: Path) -> None:
    """Replacing the device by a file would break it for everybody."""
    cloud.add_job("web")
    cloud.append("web", ["line"])
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    reading = os.open(pipe, os.O_RDONLY | os.O_NONBLOCK)
    assert run("export", "web", "--format", "text", "-o", str(pipe)).status == 0
    assert os.read(reading, 100) == b"line\n"
    os.close(reading)
    assert pipe.is_fifo()


def test_job_name_on_a_terminal_is_neutralised(cloud: ViewerCloud, run: Run) -> None:
    """An engine's names are as hostile as lines."""
    cloud.add_job("evil\x1b]0;title\x07", image="a\nb")
    outcome = run("jobs")
    assert b"\x1b" not in outcome.out
    assert len(outcome.text.splitlines()) == 2


def test_json_export_is_one_object_a_line_with_consecutive_sequences(cloud: ViewerCloud, run: Run) -> None:
    """Exactly five keys, times in UTC with microseconds."""
    cloud.add_job("web")
    cloud.append("web", [encode_event(Started()), "out", "err ü 🚢"], "soe", every_us=1_000_001)
    lines = run("export", "web", "--format", "jsonl").text.splitlines()
    assert [json.loads(line) for line in lines] == [
        {
            "jobId": job_id("web"),
            "timestamp": f"2025-11-24T16:00:0{n}.00000{n}Z",
            "stream": stream,
            "line": line,
            "sequence": n + 1,
        }
        for n, (stream, line) in enumerate(
            [("system", '{"event":"started"}'), ("stdout", "out"), ("stderr", "err ü 🚢")]
        )
    ]


def test_text_export_is_only_the_lines(cloud: ViewerCloud, run: Run) -> None:
    """Fragments are joined, system entries omitted, escapes unchanged."""
    cloud.add_job("web")
    streams = "soeOoe"
    texts = [encode_event(Started()), PIECE, "between", "end", "\x1b[31mred\x1b[0m\r", ""]
    cloud.append("web", texts, streams)
    assert run("export", "web", "--format", "text").text == f"between\n{PIECE}end\n\x1b[31mred\x1b[0m\r\n\n"


def test_big_job_is_exported_whole(cloud: ViewerCloud, run: Run, tmp_path: Path) -> None:
    """Many pages make one file, which appears only when complete."""
    cloud.add_job("big")
    rng = random.Random(1)
    texts = [f"{n} {rng.getrandbits(320):x}" for n in range(60_000)]
    cloud.append("big", texts, batch=400)
    wanted = tmp_path / "big.txt"
    outcome = run("export", "big", "--format", "text", "--output", str(wanted))
    assert (outcome.status, outcome.out, outcome.err) == (0, b"", "")
    assert wanted.read_text().splitlines() == texts
    assert list(tmp_path.iterdir()) == [wanted]
    assert sum("batches" in request for request in cloud.requests) > 2


def test_failed_export_keeps_the_old_file(
    cloud: ViewerCloud, run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A partial file never replaces a complete one."""
    cloud.add_job("web")
    cloud.append("web", ["line"])
    refused = cloud.refused

    def refuse_batches(request: web.Request) -> web.Response | None:
        return web.json_response({}, status=403) if "batches" in request.path else refused(request)

    monkeypatch.setattr(cloud, "refused", refuse_batches)
    wanted = tmp_path / "out.jsonl"
    wanted.write_text("old")
    outcome = run("export", "web", "--format", "jsonl", "-o", str(wanted))
    assert outcome.status == 1
    assert "refused" in outcome.err
    assert len(outcome.err.splitlines()) == 1
    assert wanted.read_text() == "old"
    assert list(tmp_path.iterdir()) == [wanted]


def test_export_to_a_missing_folder_is_reported(cloud: ViewerCloud, run: Run, tmp_path: Path) -> None:
    """One line says what to do."""
    cloud.add_job("web")
    outcome = run("export", "web", "--format", "text", "-o", str(tmp_path / "none" / "file"))
    assert outcome.status == 1
    assert "Check that the folder exists." in outcome.err


def test_tail_shows_stored_lines_and_separates_stderr(cloud: ViewerCloud, run: Run) -> None:
    """Piped, each stream goes to its own; system entries go to stderr as sentences."""
    cloud.add_job("web")
    gap = Gap(reason="rotated", count=3)
    cloud.append("web", [encode_event(Started()), "out", "err", encode_event(gap)], "soes")
    outcome = run("tail", "web")
    assert outcome.text == "out\n"
    gap_line = "logferry: 3 lines missing: the engine rotated them away before they were read\n"
    assert outcome.err == f"logferry: container started\nerr\n{gap_line}"


def test_tail_neutralises_control_sequences_unless_raw(cloud: ViewerCloud, run: Run) -> None:
    """Colours stay; titles, screen clears and overwritten lines do not pass."""
    cloud.add_job("web")
    cloud.append("web", ["\x1b]0;owned\x07\x1b[2J\x1b[31mred\x1b[0m", "10%\r20%"])
    assert run("tail", "web").text == "␛]0;owned␇␛[2J\x1b[31mred\x1b[0m\x1b[0m\n10%␍20%\n"
    assert run("tail", "web", "--no-colour").text == "␛]0;owned␇␛[2Jred\n10%␍20%\n"
    assert run("tail", "web", "--raw").text == "\x1b]0;owned\x07\x1b[2J\x1b[31mred\x1b[0m\n10%\r20%\n"


def test_tail_joins_fragments_and_shows_the_last_entries(cloud: ViewerCloud, run: Run) -> None:
    """A line of several fragments prints as one; --lines counts entries from the end."""
    cloud.add_job("web")
    cloud.append("web", ["first", PIECE, "end", "last"], "ooOo")
    assert run("tail", "web").text == f"first\n{PIECE}end\nlast\n"
    assert run("tail", "web", "-n", "1", "-t").text == "2025-11-24T16:00:00.003000Z last\n"
    assert run("tail", "web", "-n", "0").text == ""


def test_follow_shows_stored_and_live_lines_and_ends_with_the_job(cloud: ViewerCloud, run: Run) -> None:
    """Broadcasts are lost, repeated and reordered and sockets cut; each line prints once, in order."""
    cloud.add_job("web")
    cloud.append("web", [f"line {n}" for n in range(1, 501)], batch=100)
    cloud.mangle = lossy(random.Random(7))

    def writes() -> None:
        watched = threading.Event()
        for round_ in range(20):
            while not cloud._sockets:
                watched.wait(0.01)
            start = 501 + round_ * 25
            cloud.write("web", [f"line {n}" for n in range(start, start + 25)], batch=5)
            if round_ % 5 == 4:
                cloud.cut()
        cloud.tell("web", state="exited", exit_code=0)
        cloud.write("web", [encode_event(Exited(exit_code=0))], "s")

    writer = threading.Thread(target=writes)
    writer.start()
    outcome = run("tail", "web", "--follow")
    writer.join()
    assert outcome.text.splitlines() == [f"line {n}" for n in range(1, 1001)]
    assert outcome.err == "logferry: container exited with code 0\n"
    assert outcome.status == 0


def test_follow_of_an_ended_job_ends(cloud: ViewerCloud, run: Run) -> None:
    """It equals tail without --follow."""
    cloud.add_job("done", state="exited")
    cloud.append("done", ["line", encode_event(Exited(exit_code=3))], "os")
    assert run("tail", "done", "-f").text == "line\n"


@pytest.mark.parametrize("prefix", [8, 12, 64])
def test_job_is_found_by_a_prefix_of_its_container_id(cloud: ViewerCloud, run: Run, prefix: int) -> None:
    """As with the docker command."""
    cloud.add_job("web")
    cloud.append("web", ["line"])
    assert run("tail", job_id("web").partition(".")[2][:prefix]).text == "line\n"


def test_name_selects_its_newest_job(cloud: ViewerCloud, run: Run) -> None:
    """Containers are recreated under the same name."""
    for other, created in (("old", 1000), ("new", 3000), ("older", 500)):
        job = cloud.add_job(other)
        container = job.record.container.model_copy(update={"name": "web"})
        life = job.record.life.model_copy(update={"created": created})
        job.record = job.record.model_copy(update={"container": container, "life": life})
        cloud.append(other, [other])
    assert run("tail", "web").text == "new\n"


def test_ambiguous_prefix_lists_its_matches(cloud: ViewerCloud, run: Run) -> None:
    """Nobody has to guess."""
    names = [f"job-{n}" for n in range(40)]
    by_digit: dict[str, list[str]] = {}
    for name in names:
        cloud.add_job(name)
        by_digit.setdefault(job_id(name).partition(".")[2][0], []).append(name)
    digit, meant = next((digit, some) for digit, some in by_digit.items() if 1 < len(some) <= 10)
    outcome = run("tail", digit)
    assert outcome.status == 1
    assert all(name in outcome.err for name in meant)
    assert len(outcome.err.splitlines()) == 1


def test_expired_entries_are_reported(cloud: ViewerCloud, run: Run) -> None:
    """Retention removed the beginning: the reader says so and does not wait for it."""
    cloud.add_job("old")
    cloud.append("old", ["a", "b", "c"], batch=1)
    cloud.jobs[job_id("old")].forget(2)
    outcome = run("tail", "old")
    assert outcome.text == "c\n"
    assert outcome.err == "logferry: 2 entries (1 to 2) are no longer kept\n"
