# SPDX-License-Identifier: BSD-3-Clause
"""Long runs: a journal that survives kill -9, and memory that has a bound."""
import json
import os
import random
import re
import signal

import harness
from harness import Peer, peer


def merged(*paths, status=0, err=None):
    result = peer("merge", "--json", *paths).expect(status)
    if err is not None:
        assert re.search(err, result.err), result
    return json.loads(result.out)


def comm(pid):
    try:
        with open(f"/proc/{pid}/comm") as file:
            return file.read().strip()
    except OSError:
        return ""


def scribes():
    return [pid for pid in harness.descendants() if comm(pid) == "peer-journal"]


def journal():
    return f"{harness.directory}/run.journal"


def test_a_journal_of_a_whole_run_is_its_result():
    result = f"{harness.directory}/run.result"
    peer("soak", "-c", 4, "-n", 3000, "--interval", "20ms", "--journal", journal(), "--result", result).expect(0)
    assert os.stat(journal()).st_mode & 0o777 == 0o600
    of_journal, of_result = merged(journal(), err="^$"), merged(result)
    assert of_journal == of_result
    assert of_journal["requests"]["completed"] == 3000
    assert not os.path.exists(journal() + ".new")


def test_a_journal_can_be_read_after_kill_9_at_any_moment():
    rng = random.Random(1)
    for _ in range(10):
        started = Peer("soak", "-c", 8, "-d", 60, "--interval", "5ms", "--journal", journal())
        wanted = rng.choice((1, 200, 2000, 20000, 60000))
        harness.until("the journal", lambda: os.path.exists(journal()) and os.stat(journal()).st_size >= wanted)
        started.signal(signal.SIGKILL)
        started.wait()
        started.close_stdin()
        document = merged(journal(), err="did not come to its end: figures are those of its first .*, intervals go to")
        assert document["duration_s"] < 60
        harness.until("the scribe's end", lambda: not scribes())
        document = merged(journal())
        for index, interval in enumerate(document["intervals"][1:]):
            before = document["intervals"][index]
            assert abs(interval["start_s"] - before["start_s"] - before["duration_s"]) < 1e-6
        os.unlink(journal())


def test_what_is_cut_off_or_damaged_is_told():
    started = Peer("soak", "-c", 4, "-d", 60, "--interval", "5ms", "--journal", journal())
    harness.until("the journal", lambda: os.path.exists(journal()) and os.stat(journal()).st_size > 20000)
    started.signal(signal.SIGKILL)
    started.wait()
    started.close_stdin()
    harness.until("the scribe's end", lambda: not scribes())
    with open(journal(), "rb") as file:
        whole = file.read()
    rng = random.Random(2)
    cut = f"{harness.directory}/cut"

    def write(data):
        with open(cut, "wb") as file:
            file.write(data)

    for _ in range(5):
        at = rng.randrange(3000, len(whole) - 1)
        write(whole[:at])
        merged(cut, err=r"did not come to its end|cut off or damaged")
        write(whole[:at] + bytes([whole[at] ^ 4]) + whole[at + 1:])
        merged(cut, err=r"can be read up to byte \d+: what follows is cut off or damaged")
    for data, words in ((b"", "it is no result of peer"), (whole[:8], "it is no result of peer"),
                        (whole[:20], "before it tells anything"),
                        (whole[:15] + bytes(200), "before it tells anything")):
        write(data)
        result = peer("merge", cut)
        assert result.status == 2 and words in result.err and result.err.count("\n") == 1, result


def test_a_journal_stays_small():
    peer("soak", "-c", 2, "-R", 1000, "-d", 4, "--interval", "1ms", "--journal", journal()).expect(0)
    document = merged(journal())
    assert len(document["intervals"]) <= 2049
    assert document["intervals_thinned"] >= 2, "there were more than 2048 of a millisecond"
    assert os.stat(journal()).st_size < 4 << 20
    assert sum(interval["requests"]["completed"] for interval in document["intervals"]) == document["requests"]["completed"]


def test_a_full_disk_is_told_in_a_line_and_ends_nothing():
    folder = f"{harness.directory}/small"
    os.mkdir(folder)
    harness.mount("none", folder, "tmpfs", 0, "size=64k")
    for run in range(3):  # what is left of the room is another each time: the record of the end may fit, and says nothing
        result = peer("soak", "-c", 4, "-R", 4000, "-n", 20000, "--interval", "2ms", "--journal", f"{folder}/{run}")
        assert b"20000 requests" in result.out and result.status == 3, result
        assert len(re.findall("misses a part from now on: No space left on device", result.err)) == 1, result
        assert "is not whole: No space left" in result.err, result
        merged(f"{folder}/{run}", err="did not come to its end")
        os.unlink(f"{folder}/{run}")


def test_a_scribe_that_somebody_killed_ends_nothing():
    started = Peer("soak", "-c", 4, "-R", 5000, "-n", 20000, "--interval", "5ms", "--journal", journal())
    harness.until("a journal", lambda: os.path.exists(journal()) and os.stat(journal()).st_size > 5000)
    for pid in scribes():
        os.kill(pid, signal.SIGKILL)
    result = started.wait()
    started.close_stdin()
    assert b"20000 requests" in result.out and result.status == 3, result
    assert len(re.findall("misses a part from now on: somebody killed the process that writes it", result.err)) == 1, result
    merged(journal(), err="did not come to its end")


def test_journals_that_cannot_be():
    for path, words, status in ((f"{harness.directory}/none/j", "not found", 2), ("/dev/null", "needs a file", 2),
                                ("-", "standard output is none", 2), (harness.directory, "directory", 2)):
        result = peer("soak", "-d", 1, "--journal", path)
        assert result.status == status and words in result.err and result.err.count("\n") == 1, result


def resident(pid):
    with open(f"/proc/{pid}/statm") as file:
        return int(file.read().split()[1])


def test_memory_and_descriptors_do_not_grow():
    started = Peer("soak", "-c", 4, "-R", 2000, "-d", 600, "--interval", "1ms", "--journal", journal(), "--json",
                   "--pcap", f"{harness.directory}/ring.pcapng", "--pcap-rotate", "256KiB:3")

    def bytes_written():
        with open(f"/proc/{started.pid}/io") as file:
            return int(re.search(r"^wchar: (\d+)", file.read(), re.M).group(1))

    def grown(by):
        before = bytes_written()
        harness.until("more of it", lambda: bytes_written() > before + by)

    grown(4_000_000)  # more intervals than are kept
    pages, fds = resident(started.pid), len(os.listdir(f"/proc/{started.pid}/fd"))
    grown(4_000_000)
    if not harness.options.sanitized:
        assert resident(started.pid) <= pages * 1.01, (resident(started.pid), pages)
    assert len(os.listdir(f"/proc/{started.pid}/fd")) == fds
    result = started.stop()
    started.close_stdin()
    assert len(json.loads(result.out)["intervals"]) <= 2049


def stream(*args, out):
    return Peer("soak", "-c", 2, "-R", 200, "-d", 60, "--interval", "20ms", "--json-stream", *args, stdout=out)


def entries(path):
    with open(path) as file:
        return [json.loads(line) for line in file]


def has_lines(path, count):
    return os.path.exists(path) and open(path, "rb").read().count(b"\n") >= count


def test_the_stream_goes_on_in_a_new_file_after_sighup():
    folder = f"{harness.directory}/logs"
    os.mkdir(folder)
    path = f"{folder}/soak.jsonl"
    with open(path, "w") as file:
        os.chmod(path, 0o640)
        started = stream(out=file)
    names = []
    for turn in range(3):
        harness.until("lines", lambda: has_lines(path, 10))
        names.append(f"{path}.{turn}")
        os.rename(path, names[-1])
        started.signal(signal.SIGHUP)
        harness.until("a new file", lambda: has_lines(path, 1))
    started.signal(signal.SIGHUP)  # nobody renamed it: it goes on in the same one
    harness.until("lines", lambda: has_lines(path, 20))
    started.stop().expect(0)
    started.close_stdin()
    assert os.stat(path).st_mode & 0o777 == 0o640
    series = [entry for name in (*names, path) for entry in entries(name)]
    assert series[-1]["type"] == "report" and [entry["type"] for entry in series[:-1]] == ["interval"] * (len(series) - 1)
    for index, entry in enumerate(series[1:-1]):
        before = series[index]
        assert abs(entry["start_s"] - before["start_s"] - before["duration_s"]) < 1e-6 or entry.get("after_end")


def test_a_new_file_that_cannot_be_made_is_told_and_ends_nothing():
    folder = f"{harness.directory}/logs"
    os.mkdir(folder)
    path = f"{folder}/soak.jsonl"
    with open(path, "w") as file:
        started = stream(out=file)
    harness.until("lines", lambda: has_lines(path, 5))
    os.rename(path, f"{path}.1")
    os.mkdir(path)
    started.signal(signal.SIGHUP)
    started.wait_err('cannot open ".*soak.jsonl" anew: Is a directory')
    count = len(entries(f"{path}.1"))
    harness.until("more lines", lambda: has_lines(f"{path}.1", count + 5))
    os.rmdir(path)
    started.signal(signal.SIGHUP)
    harness.until("a new file", lambda: has_lines(path, 1))
    started.stop().expect(0)
    started.close_stdin()


def test_without_a_file_sighup_ends_the_run():
    started = Peer("soak", "-c", 2, "-R", 200, "-d", 60, "--interval", "20ms", "--json-stream", stdout=harness.subprocess.PIPE)
    first = started.process.stdout.readline()
    assert json.loads(first)["type"] == "interval"
    started.signal(signal.SIGHUP)
    rest = started.process.stdout.read()
    started.process.stdout.close()
    started.wait().expect(0)
    started.close_stdin()
    assert json.loads(rest.splitlines()[-1])["type"] == "report"


if __name__ == "__main__":
    harness.main()
