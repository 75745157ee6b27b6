# SPDX-License-Identifier: BSD-3-Clause
"""A session at a terminal: line editing, escapes, and the terminal as it was before."""
import fcntl
import os
import re
import select
import signal
import socket
import struct
import termios
import time

import harness
from harness import OWN4, Peer, Server


class Terminal:
    """peer connect under a pseudo terminal of its own."""

    def __init__(self, *args, handle=None, controlling=True):
        self.received, self.closed = b"", False
        self.release = harness.threading.Event()
        self.server = Server(handle or self.collect)
        self.master, self.slave = harness.pty.openpty()
        fcntl.ioctl(self.slave, termios.TIOCSWINSZ, struct.pack("HHHH", 24, 80, 0, 0))
        self.modes = termios.tcgetattr(self.slave)
        self.screen = b""

        def own_terminal():
            os.setsid()
            if controlling:
                fcntl.ioctl(0, termios.TIOCSCTTY, 0)

        os.environ["TERM"] = "xterm"
        os.environ["HOME"] = harness.directory
        self.peer = Peer("connect", "-v", *args, OWN4, self.server.port, stdin=self.slave, stdout=self.slave,
                         stderr=self.slave, prepare=own_terminal)
        self.see(rb"connected in")

    def collect(self, connection, _address):
        self.connection = connection
        while True:
            data = connection.recv(65536)
            if not data:
                break
            self.received += data
        self.closed = True
        connection.sendall(b"bye\n")

    def read(self):
        while select.select([self.master], [], [], 0)[0]:
            try:
                data = os.read(self.master, 65536)
            except OSError:  # the other side is closed
                return
            self.screen += data

    def see(self, pattern):
        """Until the screen has shown it; what was shown up to there is forgotten."""
        def look():
            self.read()
            return re.search(pattern, self.screen)
        try:
            found = harness.until(f"{pattern!r} on the screen", look, 20)
        except AssertionError as error:
            raise AssertionError(f"{error}; there is {self.screen!r}; status {self.peer.process.poll()}")
        self.screen = self.screen[found.end():]
        return found

    def type(self, text):
        os.write(self.master, text.encode())

    def arrives(self, data):
        harness.until(f"{data!r} at the application", lambda: self.received.endswith(data), 20)

    def end(self, status):
        def ended():
            self.read()
            return self.peer.process.poll() is not None
        harness.until("the end of peer", ended, 20)
        assert self.peer.process.returncode == status, (self.peer.process.returncode, self.screen)
        assert termios.tcgetattr(self.slave) == self.modes, "the terminal's modes are not as before"
        self.server.join()
        os.close(self.master)
        os.close(self.slave)


def test_a_line_arrives_when_it_is_complete_and_ctrl_d_half_closes():
    terminal = Terminal()
    terminal.type("hello")
    terminal.see(rb"hello")
    terminal.type("\x7f\x7fp, world\n")  # two backspaces
    terminal.arrives(b"help, world\n")
    assert terminal.received == b"help, world\n", terminal.received
    terminal.type("\x04")
    terminal.see(rb"bye")
    terminal.end(0)
    assert terminal.closed


def test_history_and_utf8():
    terminal = Terminal()
    terminal.type("première\n")
    terminal.arrives("première\n".encode())
    terminal.type("\x1b[A\n")  # arrow up
    terminal.arrives("première\npremière\n".encode())
    terminal.type("\x04")
    terminal.end(0)


def test_pasted_lines_all_arrive():
    terminal = Terminal()
    text = "".join(f"line {i}\n" for i in range(200))
    terminal.type(text)
    terminal.arrives(text.encode())
    terminal.type("\x04")
    terminal.end(0)


def test_what_comes_in_does_not_disturb_the_line_being_typed():
    terminal = Terminal()
    terminal.type("first\n")
    terminal.arrives(b"first\n")
    terminal.type("half")
    terminal.see(rb"half")
    terminal.connection.sendall(b"news\n")
    terminal.see(rb"news")
    terminal.see(rb"half")
    terminal.type(" a line\n")
    terminal.arrives(b"half a line\n")
    terminal.type("\x04")
    terminal.end(0)


def test_help_lists_the_escapes():
    terminal = Terminal()
    terminal.type("~?")
    for key in (rb"\?", rb"i", rb"\.", rb"h", rb"p"):
        terminal.see(rb"~" + key + rb"  ")
    terminal.see(rb"~~ +a tilde")
    terminal.type("after\n")
    terminal.arrives(b"after\n")
    assert terminal.received == b"after\n", terminal.received
    terminal.type("\x04")
    terminal.end(0)


def test_info_prints_facts():
    terminal = Terminal()
    terminal.type("12345\n")
    terminal.arrives(b"12345\n")
    terminal.type("~i")
    terminal.see(rb"-> 10\.9\.0\.1:\d+  ESTAB")
    terminal.see(rb"RTT [\d.]+ [mu]?s, RTO [\d.]+ ms, MSS 1448")
    terminal.see(rb"cwnd \d+, in flight \d+, retransmits 0")
    terminal.see(rb"bytes: 6 sent, 0 received")
    terminal.type("\x04")
    terminal.end(0)


def test_half_close_goes_on_reading():
    terminal = Terminal()
    terminal.type("~h")
    terminal.see(rb"bye")
    terminal.end(0)
    assert terminal.closed and terminal.received == b""


def test_reset():
    def handle(connection, _address):
        try:
            connection.recv(10)
        except ConnectionResetError:
            resets.append(True)

    resets = []
    terminal = Terminal(handle=handle)
    terminal.type("~.")
    terminal.end(0)
    assert resets == [True]


def test_two_tildes_send_one_and_others_are_no_escapes():
    terminal = Terminal()
    terminal.type("~~a\n")
    terminal.arrives(b"~a\n")
    terminal.type("~x\n")  # no escape
    terminal.arrives(b"~x\n")
    terminal.type("a~.\n")  # not at the start of a line
    terminal.arrives(b"a~.\n")
    terminal.type("~\n")
    terminal.arrives(b"~\n")
    assert terminal.received == b"~a\n~x\na~.\n~\n", terminal.received
    terminal.type("\x04")
    terminal.end(0)


def test_pause_closes_the_window_and_opens_it():
    sent = []
    block = b"x" * 65536

    def handle(connection, _address):
        go.wait(harness.LIMIT_S)
        connection.setblocking(False)
        stuck_since = None
        while stuck_since is None or not stuck.is_set():
            try:
                sent.append(connection.send(block))
                stuck_since = None
            except BlockingIOError:
                if stuck_since is None:
                    stuck_since = time.monotonic()
                if time.monotonic() - stuck_since > 0.5:
                    stuck.set()
                select.select([], [connection], [], 0.05)
        connection.setblocking(True)
        connection.shutdown(socket.SHUT_WR)
        while connection.recv(100):
            pass

    go, stuck = harness.threading.Event(), harness.threading.Event()
    terminal = Terminal(handle=handle)
    terminal.type("~p")
    terminal.see(rb"stopped reading")
    go.set()
    assert stuck.wait(harness.LIMIT_S), "the sender never had to wait"
    terminal.type("~i")
    unread = terminal.see(rb"(\d+) unread")
    assert int(unread.group(1)) > 0
    assert b"xxxx" not in terminal.screen
    terminal.type("~p")
    terminal.see(rb"reading again")

    shown = 0
    def all_shown():
        nonlocal shown
        terminal.read()
        shown += terminal.screen.count(b"x")
        terminal.screen = terminal.screen[-200:].replace(b"x", b"")
        return shown >= sum(sent)
    harness.until("all bytes on the screen", all_shown)
    terminal.end(0)
    assert shown == sum(sent), (shown, sum(sent))


def test_the_application_closes_first():
    def handle(connection, _address):
        connection.sendall(b"that is all\n")
    terminal = Terminal(handle=handle)
    terminal.see(rb"that is all")
    terminal.see(rb"the application closed the connection")
    terminal.end(0)


def test_ctrl_c_ends_in_order():
    terminal = Terminal()
    terminal.type("some text")
    terminal.see(rb"some text")
    terminal.type("\x03")
    terminal.end(0)
    assert terminal.closed and terminal.received == b""


def test_signals_restore_the_terminal():
    for number in (signal.SIGTERM, signal.SIGHUP):
        terminal = Terminal()
        terminal.type("some text")
        terminal.see(rb"some text")
        terminal.peer.signal(number)
        terminal.end(0)


def test_a_terminal_that_hangs_up_ends_the_session():
    terminal = Terminal()
    os.close(terminal.slave)
    os.close(terminal.master)
    terminal.peer.wait(20)
    terminal.server.join()
    assert terminal.closed


def test_a_terminal_that_hangs_up_costs_no_time():
    """And no signal comes, since it is not the controlling one; the application goes on talking."""
    def handle(connection, _address):
        while connection.recv(100):
            pass
        closed.set()
        release.wait(harness.LIMIT_S)

    closed, release = harness.threading.Event(), harness.threading.Event()
    terminal = Terminal(handle=handle, controlling=False)
    os.close(terminal.slave)
    os.close(terminal.master)
    assert closed.wait(20), "the end of input did not get through"

    def clock_ticks():
        with open(f"/proc/{terminal.peer.pid}/stat") as file:
            fields = file.read().rpartition(")")[2].split()
        return int(fields[11]) + int(fields[12])

    before = clock_ticks()
    select.select([], [], [], 1)  # the time that is measured
    spent = clock_ticks() - before
    assert spent < os.sysconf("SC_CLK_TCK") / 4, f"{spent} ticks in a second"
    release.set()
    terminal.peer.wait(20)
    terminal.server.join()


def test_a_reset_by_the_application_restores_the_terminal():
    def handle(connection, _address):
        connection.recv(10)
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    terminal = Terminal(handle=handle)
    terminal.type("x\n")
    terminal.see(rb"reset by the application")
    terminal.end(1)


if __name__ == "__main__":
    harness.main()
