# SPDX-License-Identifier: BSD-3-Clause
"""--watch: memory, descriptors, threads and processor time of the application, beside what peers saw."""
import json
import os
import re
import signal
import subprocess
import sys

import harness
from harness import OWN4, Peer, peer

# Answers a request a connection; with each one it keeps so many bytes and descriptors. Several processes
# listen, if that is wanted.
SERVER = """
import os, socket, sys
keep, descriptors, processes = map(int, sys.argv[1:4])
listener = socket.socket()
listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
listener.bind((sys.argv[4], 8080))
listener.listen(128)
for _ in range(processes - 1):
    if os.fork() == 0:
        break
kept = []
while True:
    connection, _ = listener.accept()
    while data := connection.recv(4096):
        if keep:
            kept.append(os.urandom(keep))
        for _ in range(descriptors):
            kept.append(os.open("/dev/null", os.O_RDONLY))
        connection.sendall(b"HTTP/1.1 200 OK\\r\\nContent-Length: 2\\r\\n\\r\\nok" * data.count(b"\\r\\n\\r\\n"))
    connection.close()
"""


class Application:
    def __init__(self, keep=0, descriptors=0, processes=1):
        self.words = [sys.executable, "-c", SERVER, *map(str, (keep, descriptors, processes)), OWN4]
        self.start()

    def start(self):
        self.process = subprocess.Popen(self.words, start_new_session=True)
        harness.until("the application", lambda: re.search(rf"{OWN4}:8080\b", harness.run("ss", "-ltn")))

    def end(self):
        os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.end()


TARGET = f"http://{OWN4}:8080/"


def watched(*args, watch="--watch", duration=6):
    result = peer("soak", "-c", 1, "-R", 200, "-d", duration, "--interval", "100ms", watch, "--json", TARGET, *args,
                  limit=60).expect(0)
    return json.loads(result.out)


def test_who_listens_is_found_and_told():
    with Application() as application:
        document = watched(duration=1)
        seen = document["application"]["seen"]
        assert [process["pid"] for process in seen] == [application.process.pid]
        assert seen[0]["name"].startswith("python"), seen
        assert document["application"]["rss_bytes"] > 1_000_000 and document["application"]["threads"] == 1
        assert document["application"]["growth"] == {}, "a dozen samples tell nothing"
        samples = [i["application"] for i in document["intervals"] if "application" in i]
        assert len(samples) >= 7 and all(sample["fds"] >= 4 for sample in samples), samples
        text = peer("soak", "-c", 1, "-n", 100, "-R", 100, "--interval", "100ms", "--watch", TARGET).expect(0).out
        assert re.search(rb"application: python\S* %d: up to .* resident, \d+ descriptors, 1 thread, .* of CPU"
                         % application.process.pid, text), text


def test_several_processes_are_one_application():
    with Application(processes=3):
        document = watched(duration=1)["application"]
        assert document["processes"] == 3 and len(document["seen"]) == 3 and document["threads"] == 3, document


def test_a_leak_of_memory_and_descriptors_is_told():
    with Application(keep=4000, descriptors=1):
        result = peer("soak", "-c", 1, "-R", 100, "-d", 6, "--interval", "100ms", "--watch", TARGET, limit=60).expect(0)
        assert re.search(rb"its resident memory grows: from .* to .* in .*, .* an hour", result.out), result
        assert re.search(rb"its descriptors grow: from [\d.]+ to [\d.]+ in .*, [\d.]+ an hour", result.out), result
        assert b"threads grow" not in result.out


def test_what_does_not_grow_is_not_told():
    with Application() as application:
        document = watched(watch=f"--watch={application.process.pid}")
        growth = document["application"]["growth"]
        assert growth["fds"]["grows"] is False and growth["threads"]["grows"] is False, growth
        assert growth["rss_bytes"]["grows"] is False, growth
        assert growth["fds"]["first"] == growth["fds"]["last"], growth


def test_an_application_that_is_restarted_is_watched_on():
    with Application() as application:
        first = application.process.pid
        started = Peer("soak", "-c", 1, "-R", 50, "-d", 60, "--interval", "100ms", "--watch", str(first), "--json-stream",
                       "--tolerate", TARGET)

        def pids_seen():
            return sum(b'"application"' in line for line in started.out().splitlines())

        harness.until("samples", lambda: pids_seen() > 3)
        application.end()
        application.start()
        before = pids_seen()
        harness.until("more", lambda: pids_seen() > before + 5 and b'"restarts"' in started.out())
        result = started.stop()
        started.close_stdin()
        report = json.loads(result.out.splitlines()[-1])["application"]
        assert report["restarts"] == 1, report
        assert [process["pid"] for process in report["seen"]] == [first, application.process.pid], report


def test_samples_are_in_results_and_journals():
    with Application():
        result, journal = f"{harness.directory}/result", f"{harness.directory}/journal"
        document = watched("--result", result, "--journal", journal, duration=1)
        for path in (result, journal):
            again = json.loads(peer("merge", "--json", path).expect(0).out)
            assert again["application"] == document["application"], path
            assert again["intervals"] == document["intervals"], path


def test_a_watcher_that_somebody_killed_ends_nothing():
    with Application():
        started = Peer("soak", "-c", 1, "-R", 100, "-d", 3, "--interval", "100ms", "--watch", "--json-stream", TARGET)

        def watchers():
            found = []
            for pid in harness.descendants():
                with harness.contextlib.suppress(OSError), open(f"/proc/{pid}/comm") as file:
                    if file.read().strip() == "peer-watch":
                        found.append(pid)
            return found

        started.wait_out(b'"application"')
        os.kill(watchers()[0], signal.SIGKILL)
        result = started.wait()
        started.close_stdin()
        assert b'"report"' in result.expect(0, err="^peer: somebody killed the process that looks at the application").out


def test_processes_that_cannot_be_watched():
    for words, said in ((("--watch", "4194305"), "no process 4194305"), (("--watch", "0"), "no list of process ids"),
                        (("--watch=12,"), "no list of process ids"), (("--watch=nginx"), "no list of process ids")):
        words = (words,) if isinstance(words, str) else words
        result = peer("soak", "-d", 1, *words)
        assert result.status == 2 and said in result.err and result.err.count("\n") == 1, result


def test_another_users_process_cannot_be_watched():
    harness.need_root()
    harness.own_node()
    result = peer("soak", "-d", 1, "--watch", os.getpid(), nobody=True)
    assert result.status == 3 and f"process {os.getpid()} cannot be watched, as it is another user's" in result.err, result


if __name__ == "__main__":
    harness.main()
