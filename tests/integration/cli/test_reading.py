"""`jobs`, `tail` and `export` against the viewers' contract."""

import json
import random
import threading
from pathlib import Path

import pytest
from tests.integration.cli.conftest import Run
from tests.support.viewer_cloud import ViewerCloud, job_id, lossy

from logferry_protocol.events import Exited, Gap, Started, encode_event

PIECE = "p" * 16_384


def test_jobs_are_listed(cloud: ViewerCloud, run: Run) -> None:
    """The table shows what tells jobs apart."""
    cloud.add_job("web")
    cloud.add_job("batch", state="exited")
    outcome = run("jobs")
    heading, web, batch = outcome.text.splitlines()
    assert heading.split()[:3] == ["JOB", "NAME", "STATE"]
    assert web.startswith(job_id("web").partition(".")[2][:12])
    assert "running" in web
    assert "exited" in batch
    assert outcome.status == 0


def test_jobs_are_json(cloud: ViewerCloud, run: Run) -> None:
    """The records, whole, as one array."""
    cloud.add_job("web", labels={"team": "a"})
    [record] = json.loads(run("jobs", "--json").out)
    assert record["job"] == job_id("web")
    assert record["container"]["labels"] == {"team": "a"}
    assert record["life"]["state"] == "running"


def test_no_jobs_are_an_empty_array_and_a_sentence(cloud: ViewerCloud, run: Run) -> None:
    """A fresh deployment is not an error."""
    assert json.loads(run("jobs", "--json").out) == []
    outcome = run("jobs")
    assert (outcome.status, outcome.out) == (0, b"")
    assert "No jobs yet" in outcome.err


def test_a_jobs_name_cannot_steer_the_terminal(cloud: ViewerCloud, run: Run) -> None:
    """What an engine says of a container is as hostile as its lines."""
    cloud.add_job("evil\x1b]0;title\x07", image="a\nb")
    outcome = run("jobs")
    assert b"\x1b" not in outcome.out
    assert len(outcome.text.splitlines()) == 2


def test_export_is_one_object_a_line_with_sequences_without_a_hole(cloud: ViewerCloud, run: Run) -> None:
    """Exactly the five keys, in UTC with microseconds."""
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


def test_text_export_is_the_lines_alone(cloud: ViewerCloud, run: Run) -> None:
    """Pieces are joined, system entries left out, escapes left as they were written."""
    cloud.add_job("web")
    streams = "soeOoe"
    texts = [encode_event(Started()), PIECE, "between", "end", "\x1b[31mred\x1b[0m\r", ""]
    cloud.append("web", texts, streams)
    assert run("export", "web", "--format", "text").text == f"between\n{PIECE}end\n\x1b[31mred\x1b[0m\r\n\n"


def test_a_big_job_is_exported_whole(cloud: ViewerCloud, run: Run, tmp_path: Path) -> None:
    """Many pages, one file, which is there only when all of it is."""
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


def test_a_failed_export_leaves_the_old_file(cloud: ViewerCloud, run: Run, tmp_path: Path) -> None:
    """Half a file never takes the place of a whole one."""
    cloud.add_job("web")
    cloud.append("web", ["line"])
    cloud.jobs[job_id("web")].facts[0]["digest"] = "0" * 64
    wanted = tmp_path / "out.jsonl"
    wanted.write_text("old")
    outcome = run("export", "web", "--format", "jsonl", "-o", str(wanted))
    assert outcome.status == 1
    assert "damaged" in outcome.err
    assert len(outcome.err.splitlines()) == 1
    assert wanted.read_text() == "old"
    assert list(tmp_path.iterdir()) == [wanted]


def test_an_export_into_a_folder_that_is_not_there_says_so(cloud: ViewerCloud, run: Run, tmp_path: Path) -> None:
    """One line and what to do."""
    cloud.add_job("web")
    outcome = run("export", "web", "--format", "text", "-o", str(tmp_path / "none" / "file"))
    assert outcome.status == 1
    assert "Does the folder exist?" in outcome.err


def test_tail_shows_what_is_stored_and_tells_stderr_apart(cloud: ViewerCloud, run: Run) -> None:
    """Piped, each stream goes where the container wrote it, and system entries go to stderr as sentences."""
    cloud.add_job("web")
    gap = Gap(reason="rotated", count=3)
    cloud.append("web", [encode_event(Started()), "out", "err", encode_event(gap)], "soes")
    outcome = run("tail", "web")
    assert outcome.text == "out\n"
    assert outcome.err == "logferry: container started\nerr\nlogferry: 3 lines missing: rotated\n"


def test_tail_neutralises_control_sequences_unless_raw(cloud: ViewerCloud, run: Run) -> None:
    """Colours stay; a title, a cleared screen or an overwritten line do not get through."""
    cloud.add_job("web")
    cloud.append("web", ["\x1b]0;owned\x07\x1b[2J\x1b[31mred\x1b[0m", "10%\r20%"])
    assert run("tail", "web").text == "␛]0;owned␇␛[2J\x1b[31mred\x1b[0m\x1b[0m\n10%␍20%\n"
    assert run("tail", "web", "--no-colour").text == "␛]0;owned␇␛[2Jred\n10%␍20%\n"
    assert run("tail", "web", "--raw").text == "\x1b]0;owned\x07\x1b[2J\x1b[31mred\x1b[0m\n10%\r20%\n"


def test_tail_joins_pieces_and_shows_the_last_entries(cloud: ViewerCloud, run: Run) -> None:
    """A line of several pieces is one line; --lines counts entries from the end."""
    cloud.add_job("web")
    cloud.append("web", ["first", PIECE, "end", "last"], "ooOo")
    assert run("tail", "web").text == f"first\n{PIECE}end\nlast\n"
    assert run("tail", "web", "-n", "1", "-t").text == "2025-11-24T16:00:00.003000Z last\n"
    assert run("tail", "web", "-n", "0").text == ""


def test_follow_shows_stored_and_live_lines_and_ends_with_the_job(cloud: ViewerCloud, run: Run) -> None:
    """Through lost, repeated and reordered broadcasts and cut sockets, every line comes once and in order."""
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


def test_follow_of_a_job_that_has_ended_ends(cloud: ViewerCloud, run: Run) -> None:
    """It is the same as without --follow."""
    cloud.add_job("done", state="exited")
    cloud.append("done", ["line", encode_event(Exited(exit_code=3))], "os")
    assert run("tail", "done", "-f").text == "line\n"


@pytest.mark.parametrize("prefix", [8, 12, 64])
def test_a_job_is_found_by_the_beginning_of_its_container_id(cloud: ViewerCloud, run: Run, prefix: int) -> None:
    """As with the docker command."""
    cloud.add_job("web")
    cloud.append("web", ["line"])
    assert run("tail", job_id("web").partition(".")[2][:prefix]).text == "line\n"


def test_a_name_means_the_newest_job_that_has_it(cloud: ViewerCloud, run: Run) -> None:
    """Containers are made again under the same name."""
    for other, created in (("old", 1000), ("new", 3000), ("older", 500)):
        job = cloud.add_job(other)
        container = job.record.container.model_copy(update={"name": "web"})
        life = job.record.life.model_copy(update={"created": created})
        job.record = job.record.model_copy(update={"container": container, "life": life})
        cloud.append(other, [other])
    assert run("tail", "web").text == "new\n"


def test_an_ambiguous_prefix_lists_what_it_could_mean(cloud: ViewerCloud, run: Run) -> None:
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


def test_entries_that_are_kept_no_more_are_told(cloud: ViewerCloud, run: Run) -> None:
    """Retention took the beginning: the reader says so instead of waiting for it."""
    cloud.add_job("old")
    cloud.append("old", ["a", "b", "c"], batch=1)
    cloud.jobs[job_id("old")].forget(2)
    outcome = run("tail", "old")
    assert outcome.text == "c\n"
    assert outcome.err == "logferry: 2 entries (1 to 2) are not kept any more\n"
