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
from harness import OWN4, PEER4, Peer, Server


class Terminal:
    """peer connect, or another command, under a pseudo terminal of its own."""

    def __init__(self, *args, handle=None, controlling=True, kind="xterm", command=None, begins=rb"connected in"):
        self.received, self.closed, self.accepted = b"", False, None
        self.release = harness.threading.Event()
        self.server = None if command else Server(handle or self.collect)
        self.master, self.slave = harness.pty.openpty()
        fcntl.ioctl(self.slave, termios.TIOCSWINSZ, struct.pack("HHHH", 24, 80, 0, 0))
        self.modes = termios.tcgetattr(self.slave)
        self.screen = b""

        def own_terminal():
            os.setsid()
            if controlling:
                fcntl.ioctl(0, termios.TIOCSCTTY, 0)

        os.environ["TERM"] = kind
        os.environ["HOME"] = harness.directory
        self.peer = Peer(*(command or ("connect", "-v", *args, OWN4, self.server.port)), stdin=self.slave,
                         stdout=self.slave, stderr=self.slave, prepare=own_terminal)
        self.see(begins)

    @property
    def connection(self):
        """The server's thread may have it later than peer is connected."""
        return harness.until("the server has accepted", lambda: self.accepted)

    def collect(self, connection, _address):
        self.accepted = connection
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

    def edits(self):
        """Between two lines the terminal is as the shell left it: some keys are the terminal's own then (Ctrl-R)."""
        return not termios.tcgetattr(self.slave)[3] & termios.ICANON

    def arrives(self, data):
        """At the application; then the editor waits for the next line, if there is to be one."""
        harness.until(f"{data!r} at the application", lambda: self.received.endswith(data), 20)
        harness.until("the editor", lambda: self.edits() or self.closed or self.peer.process.poll() is not None, 20)

    def end(self, status):
        def ended():
            self.read()
            return self.peer.process.poll() is not None
        harness.until("the end of peer", ended, 20)
        assert self.peer.process.returncode == status, (self.peer.process.returncode, self.screen)
        assert termios.tcgetattr(self.slave) == self.modes, "the terminal's modes are not as before"
        if self.server:
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


def test_callers_of_one_who_keeps_listening_find_the_same_editor():
    """Its files are read once: a confined process opens none."""
    terminal = Terminal(command=("listen", "-k", "--from", PEER4, 7000), begins=rb"listening at")
    for typed, line in (("fihst\x7f\x7f\x7frst\n", b"first\n"), ("\x1b[A\n", b"first\n"), ("third\n", b"third\n")):
        with socket.create_connection((PEER4, 7000), harness.LIMIT_S) as caller:
            caller.sendall(b"who is it?\n")
            terminal.see(rb"who is it\?")
            terminal.type(typed)
            assert harness.receive_count(caller, len(line)) == line
        terminal.see(rb"the application closed")
    terminal.type("\x03")
    terminal.end(0)


def test_escapes_are_for_all_callers():
    terminal = Terminal(command=("listen", "-k", "--from", PEER4, 7000), begins=rb"listening at")
    terminal.type("too early\n~i")
    terminal.see(rb"not sent: nobody is connected")
    terminal.see(rb"~ nobody is connected")
    callers = [socket.create_connection((PEER4, 7000), harness.LIMIT_S) for _ in range(2)]
    ports = [connection.getsockname()[1] for connection in callers]
    for i, connection in enumerate(callers):
        connection.sendall(b"caller %d\n" % i)
        terminal.see(b"caller %d" % i)
    terminal.type("to all\n")
    for connection in callers:
        assert harness.receive_count(connection, 7) == b"to all\n"
    terminal.type("~i")
    for port in ports:
        terminal.see(rb"-> \S+:%d  ESTAB" % port)
    terminal.type("~h")
    terminal.see(rb"half-closed")
    for connection in callers:
        assert harness.receive_all(connection) == b""
    terminal.type("too late\n")
    terminal.see(rb"not sent: our side of the connection is closed")
    with socket.create_connection((PEER4, 7000), harness.LIMIT_S) as later:
        later.sendall(b"I am new\n")
        terminal.see(rb"I am new")
        terminal.type("welcome\n")  # what was closed is closed for those who were there
        assert harness.receive_count(later, 8) == b"welcome\n"
        terminal.type("~.")
        for port in (*ports, later.getsockname()[1]):
            terminal.see(rb":%d: reset by this peer" % port)
        try:
            later.recv(1)
            raise AssertionError("it was not reset")
        except ConnectionResetError:
            pass
    for connection in callers:
        connection.close()
    terminal.type("\x03")
    terminal.end(0)


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
    def handle(connection, _address):
        assert connection.recv(10) == b""
        ends.append(True)
        connection.sendall(b"bye\n")
        terminal.release.wait(harness.LIMIT_S)  # and no more: nothing else wakes the session

    ends = []
    terminal = Terminal(handle=handle)
    terminal.type("~h")
    harness.until("the FIN", lambda: ends)
    terminal.see(rb"bye")
    terminal.release.set()
    terminal.end(0)
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
    terminal.see(rb"stopped reading \(")
    terminal.read()
    assert b"shut" not in terminal.screen, "nothing has come, so it is wide open"
    go.set()
    terminal.see(rb"the window is shut: \d+ bytes wait unread")
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
    for number in (signal.SIGTERM, signal.SIGHUP, signal.SIGQUIT):
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


# ---- keys ----

KEYS = (  # what is typed, and the line that arrives
    ("ab\x01c\x05d", "cabd"),  # Ctrl-A, Ctrl-E
    ("abc\x02\x02X\x06Y", "aXbYc"),  # Ctrl-B, Ctrl-F
    ("abc\x1b[D\x1b[DX\x1b[CY", "aXbYc"),  # arrows
    ("abc\x1bOD\x1bODX\x1bOCY", "aXbYc"),  # of the keypad's mode
    ("abc\x1b[HX\x1b[FY", "XabcY"),  # Home, End
    ("abc\x1b[1~X\x1b[4~Y", "XabcY"),
    ("abc\x01\x1b[3~", "bc"),  # Delete
    ("abc\x01\x04", "bc"),  # Ctrl-D in a line
    ("abc\x02\x02\x0b", "a"),  # Ctrl-K
    ("abc def\x17ghi", "abc ghi"),  # Ctrl-W
    ("abc\x15def", "def"),  # Ctrl-U
    ("abc def\x17\x19\x19", "abc defdef"),  # Ctrl-Y
    ("abc\x14", "acb"),  # Ctrl-T
    ("ab\x0cc", "abc"),  # Ctrl-L
    ("abc def\x1bbX", "abc Xdef"),  # Meta-b
    ("abc def\x01\x1bfX", "abcX def"),  # Meta-f
    ("abc def\x01\x1bd", " def"),  # Meta-d
    ("abc def\x1b[1;5DX", "abc Xdef"),  # Ctrl-arrow
    ("a\x16\x01b", "a\x01b"),  # Ctrl-V
    ("a\x16~b", "a~b"),
    ("h\u00e9\u20ac\U0001f600\x7f\x7fx", "h\u00e9x"),  # characters of several bytes
    ("\u00e9\u20ac\x01\x1b[3~", "\u20ac"),
    ("x\x1b[5~y\x1b[2~z", "xyz"),  # page up, Insert
    ("abc\x7f\x7f\x7f~~", "~"),  # an empty line again
)


def test_every_editing_key():
    terminal = Terminal()
    sent = b""
    for typed, line in KEYS:
        terminal.type(typed + "\r")
        sent += line.encode() + b"\n"
        terminal.arrives(sent)
    assert terminal.received == sent, (terminal.received, sent)
    terminal.type("\x04")
    terminal.end(0)


def test_history():
    terminal = Terminal()
    for line in ("first", "second", "third"):
        terminal.type(line + "\r")
    terminal.type("\x10\x10\r")  # Ctrl-P twice
    terminal.arrives(b"third\nsecond\n")
    terminal.type("\x1b[A\x1b[A\x1b[B\r")  # up, up, down
    terminal.arrives(b"second\nsecond\n")
    terminal.type("\x1b[A\x1b[A\x0e\r")  # Ctrl-N
    terminal.arrives(b"second\nsecond\nsecond\n")
    terminal.type("\x04")
    terminal.end(0)


def test_search_in_the_history():
    terminal = Terminal()
    for line in ("hello one", "other", "hello two"):
        terminal.type(line + "\r")
    terminal.arrives(b"hello two\n")
    terminal.type("\x12")  # Ctrl-R; the keys come one by one, as from a person
    terminal.see(rb"bck:")
    terminal.type("o")
    terminal.see(rb"hello two")
    terminal.type("ne")
    terminal.see(rb"one")  # in place of "two"
    terminal.type("\r")
    terminal.arrives(b"hello two\nhello one\n")
    terminal.type("\x12hel\x12\r")
    terminal.arrives(b"hello one\nhello two\n")
    terminal.type("\x12oth\x1b!\r")  # ends the search, and edits what was found
    terminal.see(rb"other")
    terminal.type("\x04")
    terminal.end(0)


def test_the_terminal_is_the_editors_before_a_line_can_be_answered():
    """Else keys that answer it would go through the kernel's own editing, where some mean other things."""
    def handle(connection, _address):
        while connection.recv(100):
            canonical.append(bool(termios.tcgetattr(terminal.slave)[3] & termios.ICANON))

    canonical = []
    terminal = Terminal(handle=handle)
    for i in range(50):
        terminal.type("line\r")
        harness.until("the line", lambda: len(canonical) > i)
    assert canonical == [False] * 50, canonical
    terminal.type("\x04")
    terminal.end(0)


# ---- pastes ----

def test_a_long_line_is_quick():
    """Each character costs the same: what is quadratic would take minutes under sanitizers."""
    terminal = Terminal()
    text = "".join(f"{i:07d} " for i in range(10000))
    for at in range(0, len(text), 500):
        terminal.type(text[at:at + 500])
        terminal.read()
    terminal.type("\r")
    def arrived():
        terminal.read()
        return terminal.received.endswith(text[-100:].encode() + b"\n")
    harness.until("the line at the application", arrived)
    assert terminal.received == text.encode() + b"\n"
    terminal.type("\x04")
    terminal.end(0)


def test_text_goes_into_the_middle_of_a_line():
    terminal = Terminal()
    text = "h\u00e9llo w\u00f6rld " * 200
    terminal.type("[]\x02")
    for at in range(0, len(text), 300):
        terminal.type(text[at:at + 300])
        terminal.read()
    terminal.type("\r")
    terminal.arrives(f"[{text}]\n".encode())
    terminal.type("\x04")
    terminal.end(0)


def test_a_bracketed_paste_is_text():
    terminal = Terminal()
    terminal.type("\x1b[200~one\n~.\ttab \x12\x1b[A end\nlast\x1b[201~!\r")
    terminal.arrives(b"last!\n")
    assert terminal.received == b"one\n~.\ttab \x12\x1b[A end\nlast!\n", terminal.received
    terminal.type("\x1b[201~plain\r")
    terminal.arrives(b"plain\n")
    terminal.type("\x04")
    terminal.end(0)


# ---- what is shown ----

def talk(*parts):
    """A server that says these, and waits for the end."""
    def handle(connection, _address):
        for part in parts:
            connection.sendall(part)
        while connection.recv(100):
            pass
    return handle


HOSTILE = (b"\x1b]0;title\x07 \x1b[2J \x00\x7f \xff\xc3( \xc2\x9b1m \xed\xa0\x80 bare\rreturn\x08 "
           b"tab\tend\r\ntext h\xc3\xa9 \xe2\x82\xac \xf0\x9f\x98\x80 done\n")
VISIBLE = (rb"\^\]0;title\^G \^\[\[2J \^@\^\? M-\^\?M-C\( M-BM-\^\[1m M-mM- M-\^@ bare\^Mreturn\^H "
           b"tab\tend\r\ntext h\xc3\xa9 \xe2\x82\xac \xf0\x9f\x98\x80 done\r\n").replace(rb"\^\]0", rb"\^\[\]0")


def test_control_characters_are_made_visible():
    terminal = Terminal(handle=talk(HOSTILE))
    terminal.see(VISIBLE)
    terminal.type("\x04")
    terminal.end(0)


def test_a_character_may_come_in_pieces():
    go = harness.threading.Event()

    def handle(connection, _address):
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        connection.sendall(b"price \xe2\x82")
        go.wait(harness.LIMIT_S)
        connection.sendall(b"\xac\n")
        while connection.recv(100):
            pass
    terminal = Terminal(handle=handle)
    terminal.see(rb"price ")
    go.set()
    terminal.see(b"\xe2\x82\xac\r\n")
    terminal.type("\x04")
    terminal.end(0)


def test_raw_shows_them_as_they_are():
    terminal = Terminal("--raw", handle=talk(b"\x1b[1mbold\x1b[m \xff\n"))
    terminal.see(rb"\x1b\[1mbold\x1b\[m \xff\r\n")
    terminal.type("\x04")
    terminal.end(0)


def test_a_pipe_gets_every_byte():
    data = bytes(range(256)) * 3
    server = Server(lambda connection, _: connection.sendall(data))
    result = harness.peer("connect", OWN4, server.port)
    server.join()
    assert result.expect(0).out == data


def test_a_prompt_stays_before_the_line():
    """What the application wrote without a line break is drawn again with the line."""
    terminal = Terminal(handle=talk(b"login: "))
    terminal.see(rb"login: ")
    terminal.type("bob\x7f\x7f\x7falice")
    terminal.see(rb"alice")
    terminal.type("\x0c")  # draws all anew
    terminal.see(rb"login: alice")
    terminal.type("\r\x04")
    terminal.end(0)


def test_without_a_locale_characters_are_utf8():
    os.environ["LC_ALL"] = "C"
    terminal = Terminal()
    terminal.type("h\u00e9\u20ac\x7f\u00f6\r")
    terminal.arrives("h\u00e9\u00f6\n".encode())
    terminal.type("\x04")
    terminal.end(0)


def test_a_terminal_that_can_nothing():
    terminal = Terminal(handle=talk(b"login: "), kind="dumb")
    terminal.see(rb"login: ")
    terminal.type("bob\x7f\x7fill\r~i")
    terminal.see(rb"ESTAB")
    assert b"\x1b" not in terminal.screen, terminal.screen
    terminal.type("\x04")
    terminal.end(0)


# ---- signals ----

def editor_has_it(terminal):
    return not termios.tcgetattr(terminal.slave)[3] & (termios.ICANON | termios.ECHO)


def test_stop_and_continue():
    """As Ctrl-Z and fg in a shell, which sets the terminal's modes in between."""
    terminal = Terminal()
    terminal.type("half a")
    terminal.see(rb"half a")
    assert editor_has_it(terminal)
    def state():
        with open(f"/proc/{terminal.peer.pid}/stat") as file:
            return file.read().rpartition(")")[2].split()[0]
    for number in (signal.SIGTSTP, signal.SIGSTOP):
        terminal.peer.signal(number)
        if number == signal.SIGSTOP:
            harness.until("the stop", lambda: state() == "T")
            termios.tcsetattr(terminal.slave, termios.TCSANOW, terminal.modes)
        else:  # a group without a shell above is not stopped by it, but all else is done
            terminal.see(rb"\x1b\[\?2004l")
        terminal.peer.signal(signal.SIGCONT)
        terminal.see(rb"half a")
        harness.until("the editor's modes", lambda: editor_has_it(terminal))
    terminal.type(" line\r")
    terminal.arrives(b"half a line\n")
    terminal.type("\x04")
    terminal.end(0)


def test_a_real_shell_stops_it_and_brings_it_back():
    """bash with job control: Ctrl-Z and fg, Ctrl-Z, bg and fg (for which no signal comes)."""
    harness.need("bash")
    received = []

    def handle(connection, _address):
        while True:
            data = connection.recv(1000)
            if not data:
                return
            received.append(data)
            connection.sendall(b"got it\n")

    server = Server(handle)
    os.environ.update(TERM="xterm", HOME=harness.directory, PS1="ready> ")
    master, slave = harness.pty.openpty()
    fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack("HHHH", 24, 200, 0, 0))
    modes = termios.tcgetattr(slave)

    def own_terminal():
        os.setsid()
        fcntl.ioctl(0, termios.TIOCSCTTY, 0)
        signal.signal(signal.SIGTSTP, signal.SIG_DFL)
    shell = Peer("--norc", "--noprofile", "-i", stdin=slave, stdout=slave, stderr=slave, prepare=own_terminal,
                 program=["bash"])
    screen = b""

    def see(pattern):
        nonlocal screen
        def look():
            nonlocal screen
            while select.select([master], [], [], 0)[0]:
                screen += os.read(master, 65536)
            return re.search(pattern, screen)
        try:
            found = harness.until(f"{pattern!r} on the screen", look, 20)
        except AssertionError as error:
            raise AssertionError(f"{error}; there is {screen!r}")
        screen = screen[found.end():]

    def editor_has_it():
        return not termios.tcgetattr(slave)[3] & termios.ICANON

    see(rb"ready> ")
    os.write(master, f"{harness.PEER} connect -v {OWN4} {server.port}\r".encode())
    see(rb"connected in")
    harness.until("the editor", editor_has_it)
    os.write(master, b"half")
    see(rb"half")
    os.write(master, b"\x1a")
    see(rb"Stopped[^$]*ready> ")
    os.write(master, b"stty -a\r")
    see(rb"[^-]icanon[^$]*ready> ")
    os.write(master, b"fg\r")
    see(rb"(?s)connect -v.*\r\n.*half")
    os.write(master, b" line\r")
    see(rb"got it")
    assert received == [b"half line\n"], received
    os.write(master, b"\x1a")
    see(rb"Stopped[^$]*ready> ")
    os.write(master, b"bg\r")
    see(rb"ready> ")
    os.write(master, b"fg\r")
    see(rb"connect -v[^\r]*\r\n")
    harness.until("the editor", editor_has_it)
    os.write(master, b"again\r")
    see(rb"got it")
    assert received[1:] == [b"again\n"], received
    os.write(master, b"\x04")
    see(rb"B sent[^$]*ready> ")
    os.write(master, b"exit\r")
    harness.until("the end of the shell", lambda: shell.process.poll() is not None)
    assert termios.tcgetattr(slave) == modes
    server.join()


def test_width_follows_the_terminal():
    terminal = Terminal()
    terminal.type("x" * 30)
    terminal.see(rb"x{30}")
    fcntl.ioctl(terminal.slave, termios.TIOCSWINSZ, struct.pack("HHHH", 24, 20, 0, 0))
    terminal.peer.signal(signal.SIGWINCH)
    terminal.see(rb"x{20}[^x]+x{10}")  # libedit itself goes to the second row
    terminal.type("\r")
    terminal.arrives(b"x" * 30 + b"\n")
    terminal.type("\x04")
    terminal.end(0)


# ---- what is said ----

def test_help_of_link_and_manners():
    terminal = Terminal()
    terminal.type("~l")
    terminal.see(rb"~l ")
    terminal.type("help\r")
    terminal.see(rb"delay TIME")
    terminal.see(rb"3g")
    terminal.type("~m")
    terminal.see(rb"~m ")
    terminal.type("help\r")
    terminal.see(rb"NAME\[:SHARE\]")
    terminal.see(rb"vanish")
    terminal.type("~l\r")
    terminal.see(rb"nothing changed \(\"help\"")
    terminal.type("~lnonsense\r")
    terminal.see(rb"~ .*nonsense")
    terminal.type("after\r")
    terminal.arrives(b"after\n")
    assert terminal.received == b"after\n"
    terminal.type("\x04")
    terminal.end(0)


def test_half_close_is_said_and_lines_after_it_are_not_lost_silently():
    terminal = Terminal(handle=lambda connection, _: (connection.recv(1), terminal_released.wait(harness.LIMIT_S)))
    terminal.type("~h")
    terminal.see(rb"half-closed")
    terminal.type("too late\r")
    terminal.see(rb"not sent")
    terminal_released.set()
    terminal.end(0)


terminal_released = harness.threading.Event()


def test_a_slow_close_is_explained():
    """The application does not close: it is said what is waited for, and that it was in vain."""
    def handle(connection, _address):
        try:
            while connection.recv(100):
                pass
            closed.wait(harness.LIMIT_S)
            connection.recv(100)
        except ConnectionResetError:
            pass

    closed = harness.threading.Event()
    terminal = Terminal(handle=handle)
    terminal.type("\x03")
    terminal.see(rb"closing: FIN sent")
    terminal.type("\x03")
    terminal.see(rb"(interrupted again|the application did not close): connection reset by this peer")
    terminal.see(rb"0 B sent, 0 B received, \d+ retransmits")
    closed.set()
    terminal.end(0)


if __name__ == "__main__":
    harness.main()
