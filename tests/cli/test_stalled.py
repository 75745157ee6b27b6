# SPDX-License-Identifier: BSD-3-Clause
"""Readers of standard output who stop reading: what is measured goes on, and what they missed is said."""
import json
import os
import re
import signal
import socket
import termios
import threading

import harness
from harness import OWN4, Peer

# Intervals are what is printed, however many requests are in them.
GENTLY = ("-R", "500")


def serve(connection):
    with connection, harness.contextlib.suppress(OSError):
        while connection.recv(4096):
            connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")


def service():
    """A server of empty answers, for as long as the test takes; its port."""
    sock, port = harness.listening(OWN4)
    sock.settimeout(None)

    def accept():
        while True:
            threading.Thread(target=serve, args=(sock.accept()[0],), daemon=True).start()

    threading.Thread(target=accept, daemon=True).start()
    return port


def start(*args):
    """A peer whose standard output is a socket, and the other end, which nobody reads."""
    ours, theirs = socket.socketpair()
    theirs.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 4096)
    started = Peer(*args, stdout=theirs.fileno())
    theirs.close()
    return started, ours


def await_end_of_run():
    """The net is gone, and what is left is to be printed."""
    harness.until("the device", harness.peer_links)
    harness.until("the end of the device", lambda: not harness.peer_links())


def test_a_stream_that_nobody_reads_holds_nothing_up():
    """So long that on a busy machine, where not every interval is told apart, there are too many of them too."""
    started, reader = start("soak", f"http://{OWN4}:{service()}/", "-d", "8", *GENTLY, "--interval", "1ms",
                            "--json-stream")
    await_end_of_run()
    lines = [json.loads(line) for line in harness.receive_all(reader).splitlines()]
    reader.close()
    result = started.wait().expect(0)
    report = lines.pop()
    missed = report["intervals_left_out"]
    assert report["type"] == "report" and missed > 0, report
    assert {line["type"] for line in lines} == {"interval"}
    assert f"peer: {missed} lines were left out" in result.err, result.err
    starts = [line["start_s"] for line in lines]
    assert starts == sorted(starts)
    assert report["duration_s"] >= 8 and report["requests"]["completed"] > 0, report


def test_a_report_that_nobody_reads_is_given_up():
    started, reader = start("soak", f"http://{OWN4}:{service()}/", "-d", "2", *GENTLY, "--interval", "1ms", "--json")
    started.wait().expect(3, "standard output is incomplete: its reader took nothing for five seconds")
    reader.close()


def test_a_signal_ends_the_wait_for_a_reader():
    started, reader = start("soak", f"http://{OWN4}:{service()}/", "-d", "2", *GENTLY, "--interval", "1ms", "--json")
    await_end_of_run()
    started.signal(signal.SIGINT)
    started.wait().expect(3, "standard output is incomplete: a signal came while its reader took nothing")
    reader.close()


def test_a_pipe_holds_a_report_that_is_read_later():
    reader, writer = os.pipe()
    started = Peer("soak", f"http://{OWN4}:{service()}/", "-d", "1", *GENTLY, "--interval", "1ms", "--json",
                   stdout=writer)
    os.close(writer)
    started.wait().expect(0)
    with open(reader, "rb") as file:
        text = file.read()
    assert len(text) > 65536 and json.loads(text)["intervals"], len(text)


def test_a_terminal_that_is_stopped_stops_no_run():
    """As by Ctrl-S. Its progress is shown again when it goes on."""
    master, slave = harness.pty.openpty()
    shown, begun = b"", threading.Event()

    def read():
        nonlocal shown
        with harness.contextlib.suppress(OSError):
            while part := os.read(master, 65536):
                shown += part
                begun.set()

    reader = threading.Thread(target=read)
    reader.start()
    started = Peer("soak", f"http://{OWN4}:{service()}/", "-d", "1.5", *GENTLY, "--json", stderr=slave)
    assert begun.wait(harness.LIMIT_S)
    termios.tcflow(slave, termios.TCOOFF)
    report = json.loads(started.wait().expect(0).out)
    assert report["duration_s"] >= 1.5 and b"completed" in shown, (report["duration_s"], shown)
    termios.tcflow(slave, termios.TCOON)
    os.close(slave)
    reader.join()
    os.close(master)


def test_answers_to_pings_are_awaited_whoever_reads():
    """A line has 48 bytes at the least, and 256 KiB are kept for a reader."""
    started, reader = start("ping", "-i", "1ms", "-c", "7000", OWN4)
    await_end_of_run()
    text = harness.receive_all(reader).decode()
    reader.close()
    result = started.wait().expect(0)
    missed = int(re.search(r"(\d+) lines were left out", result.err).group(1))
    assert len(re.findall(r"seq=\d+ ttl", text)) == 7000 - missed
    assert "7000 sent, 7000 received" in text, text[-300:]


def test_a_reader_that_goes_away_ends_a_ping():
    reader, writer = os.pipe()
    started = Peer("ping", "-i", "1ms", OWN4, stdout=writer)
    os.close(writer)
    assert os.read(reader, 10)
    os.close(reader)
    started.wait().expect(3, lines=0)


if __name__ == "__main__":
    harness.main()
