# SPDX-License-Identifier: BSD-3-Clause
"""--netns and --isolate, as root and as an ordinary user with a device node of mode 0666."""
import contextlib
import os
import re
import signal
import socket
import subprocess
import sys

import harness
from harness import NOBODY, OWN4, PEER4, Peer, peer, run

PYTHON = sys.executable if os.access(sys.executable, os.X_OK) and not sys.executable.startswith("/root") \
    else "/usr/bin/python3"
SERVER = """
import http.server, os, sys
class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        body = ("hello " + self.client_address[0]).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)
    def log_message(self, *args):
        pass
class Server(http.server.HTTPServer):
    address_family = __import__("socket").AF_INET6 if ":" in sys.argv[1] else 2
Server((sys.argv[1], 8000), Handler).serve_forever()
"""
GET = b"GET / HTTP/1.0\r\n\r\n"


def server_script():
    path = os.path.join(harness.directory, "server.py")
    with open(path, "w") as file:
        file.write(SERVER)
    os.chmod(path, 0o644)
    return path


class Other:
    """A namespace with a process in it that serves, as `nobody` perhaps in a user namespace of his own."""

    def __init__(self, nobody=False):
        flags = "-Urn" if nobody else "-n"

        def before_exec():
            harness.libc.prctl(harness.PR_SET_PDEATHSIG, signal.SIGKILL)
            if nobody:
                harness.as_nobody()

        self.process = subprocess.Popen(
            ["unshare", flags, "sh", "-c",
             "ip link set lo up; ip addr add 10.77.0.1/32 dev lo; exec \"$@\"", "sh", PYTHON, server_script(), "0.0.0.0"],
            preexec_fn=before_exec, stderr=subprocess.PIPE)
        harness.until("the server in the other namespace", self.serves)

    def serves(self):
        if self.process.poll() is not None:
            text = self.process.stderr.read().decode()
            if "unshare" in text:
                raise harness.Skip(f"no namespaces for ordinary users: {text.strip()}")
            raise AssertionError(text)
        with contextlib.suppress(OSError):
            with open(f"/proc/{self.process.pid}/net/tcp") as file:
                return ":1F40 " in file.read()
        return False

    def inside(self, *command):
        return run("nsenter", "-t", str(self.process.pid), "-n", *command)

    def end(self):
        self.process.kill()
        self.process.wait()
        self.process.stderr.close()


def check_connect(*args, **more):
    result = peer("connect", *args, "--from", PEER4, "10.77.0.1", 8000, data=GET, **more).expect(0, lines=0)
    assert result.out.endswith(f"hello {PEER4}".encode()), result


def test_netns_by_process_path_and_name():
    other = Other()
    run("ip", "netns", "add", "empty")  # makes /run/netns
    run("ip", "netns", "attach", "other", str(other.process.pid))
    try:
        for where in (other.process.pid, f"/proc/{other.process.pid}/ns/net", "other"):
            for more in ((), ("--tap",)):
                check_connect("--netns", where, *more)
        peer("connect", "--netns", "empty", "10.77.0.1", 8000).refused(3, "10.77.0.1 is no address")
        peer("connect", "--netns", "other", OWN4, 8000).refused(3, f"{OWN4} is no address")
        assert "peer0" not in other.inside("ip", "link")
    finally:
        run("ip", "netns", "del", "other")
        run("ip", "netns", "del", "empty")
        other.end()


def test_the_device_is_in_the_other_namespace_and_goes_with_a_kill():
    other = Other()
    before = other.inside("ip", "addr") + other.inside("ip", "route")
    started = Peer("listen", "--netns", other.process.pid, "--serve", "http", 8080)
    started.wait_err("listening")
    assert "peer0" in other.inside("ip", "link") and not harness.peer_links()
    started.signal(signal.SIGKILL)
    started.wait()
    # Who tidies up behind it needs some milliseconds.
    harness.until("the end of the device", lambda: other.inside("ip", "addr") + other.inside("ip", "route") == before)
    other.end()


def test_a_namespace_whose_processes_end_does_not_crash_peer():
    other = Other()
    started = Peer("listen", "--netns", other.process.pid, 8080)
    started.wait_err("listening")
    other.end()
    started.stop().expect(0)


def test_listen_in_another_namespace():
    other = Other()
    started = Peer("listen", "--netns", other.process.pid, "--serve", "http", "--from", PEER4, 8080)
    started.wait_err("listening")
    assert "Hello from the peer" in other.inside("curl", "-sS", "--max-time", "30", f"http://{PEER4}:8080/")
    started.stop().expect(0)
    other.end()


def test_netns_of_own_process_as_ordinary_user():
    harness.own_node()
    other = Other(nobody=True)
    for more in ((), ("--tap",)):
        check_connect("--netns", other.process.pid, *more, nobody=True)
    other.end()


def test_netns_of_a_process_of_root_as_ordinary_user():
    harness.own_node()
    other = Other()
    peer("connect", "--netns", other.process.pid, "10.77.0.1", 8000, nobody=True) \
        .refused(3, "permission|another user")
    other.end()


# ---- --isolate ----

def users():
    """(how to run peer) as whoever runs the test, and as an ordinary user."""
    yield {}
    if harness.options.outer_uid == 0:
        harness.own_node()
        yield {"nobody": True}


def skip_if_refused(result):
    if result.status == 3 and "namespace" in result.err:
        raise harness.Skip(result.err.strip())
    return result


def test_isolate_runs_a_server_and_talks_to_it():
    script = server_script()
    for more in users():
        for args, own, addr in (((), "10.5.0.1", PEER4), (("--tap",), "10.5.0.1", PEER4),
                                ((), "2001:db8:5::1", harness.PEER6)):
            result = skip_if_refused(peer("connect", *args, "--isolate", "--from", addr, own, 8000, "--", PYTHON,
                                          script, own, data=GET, **more))
            result.expect(0, lines=0)
            assert result.out.endswith(f"hello {addr}".encode()), result
            assert not harness.descendants(), harness.descendants()


def test_isolate_without_a_program():
    for more in users():
        skip_if_refused(peer("ping", "--isolate", "-c", "1", "10.5.0.1", **more)) \
            .expect(0, out="1 sent, 1 received", lines=0)
        peer("connect", "--isolate", "10.5.0.1", 80, **more).refused(1, "connection refused")


def test_isolate_with_a_program_that_ends_early():
    for more in users():
        peer("connect", "--isolate", "10.5.0.1", 80, "--", "sh", "-c", "exit 5", **more) \
            .refused(1, '"sh" ended with status 5 before it listened')
        peer("connect", "--isolate", "10.5.0.1", 80, "--", "sh", "-c", "kill -9 $$", **more) \
            .refused(1, '"sh" was ended by signal 9 before it listened')


def test_isolate_with_a_program_that_is_not_there():
    for more in users():
        peer("connect", "--isolate", "10.5.0.1", 80, "--", "no-such-program", **more) \
            .refused(2, 'cannot run "no-such-program": no such program in PATH')
        peer("connect", "--isolate", "10.5.0.1", 80, "--", "/no/such/program", **more) \
            .refused(2, 'cannot run "/no/such/program": no such file or directory')
        peer("connect", "--isolate", "10.5.0.1", 80, "--", "/etc/passwd", **more) \
            .refused(2, 'cannot run "/etc/passwd": permission denied')


def family_script(name):
    """Leaves a child, a grandchild in a session of its own, and one that ignores SIGTERM."""
    path = os.path.join(harness.directory, f"family-{name}.sh")
    with open(path, "w") as file:
        file.write("sleep 1000 & setsid sleep 1001 & setsid sh -c 'trap \"\" TERM; sleep 1002' &\n"
                   f"exec {PYTHON} {server_script()} 10.5.0.1\n")
    return path


def test_isolated_grandchildren_are_gone_after_the_end():
    script = family_script("end")
    for more in users():
        result = peer("connect", "--isolate", "10.5.0.1", 8000, "--", "sh", script, data=GET, **more)
        result.expect(0, lines=0)
        assert not harness.descendants(), [harness.command_line(pid) for pid in harness.descendants()]


def test_isolated_grandchildren_are_gone_after_a_kill():
    script = family_script("kill")
    for more in users():
        started = Peer("connect", "-v", "--isolate", "10.5.0.1", 8000, "--", "sh", script, **more)
        started.wait_err("connected in")
        assert len(harness.descendants()) >= 5
        started.signal(signal.SIGKILL)
        started.wait()
        started.close_stdin()
        harness.until("the end of all", lambda: not harness.descendants(), 20)


def test_ctrl_c_while_the_program_does_not_listen():
    for more in users():
        started = Peer("connect", "--isolate", "10.5.0.1", 80, "--", "sleep", "1000", **more)
        harness.until("the program", lambda: any("sleep 1000" in harness.command_line(pid)
                                                 for pid in harness.descendants()))
        started.signal(signal.SIGINT)
        result = started.wait(20)
        assert result.status in (1, -signal.SIGINT) and len(result.err.splitlines()) <= 1, result
        started.close_stdin()
        harness.until("the end of all", lambda: not harness.descendants(), 20)


def test_stdin_belongs_to_the_session_and_not_to_the_program():
    for more in users():
        script = os.path.join(harness.directory, "reads.sh")
        with open(script, "w") as file:
            file.write(f"cat >{harness.directory}/stolen; echo words of the program; "
                       f"exec {PYTHON} {server_script()} 10.5.0.1\n")
        result = peer("connect", "--isolate", "10.5.0.1", 8000, "--", "sh", script, data=GET, **more).expect(0)
        assert result.out.startswith(b"HTTP/1.0 200") and "words of the program" in result.err, result
        assert os.path.getsize(f"{harness.directory}/stolen") == 0
        os.unlink(f"{harness.directory}/stolen")


def test_local_address_in_isolation():
    for more in users():
        started = Peer("listen", "--isolate", "--local", "192.0.2.1/24", "--serve", "http", 8080, "--", "sh", "-c",
                       f"curl -sS --max-time 20 http://192.0.2.2:8080/ >{harness.directory}/page; kill -INT $PPID",
                       **more)
        started.wait_err("listening at 192.0.2.2:8080.*local side 192.0.2.1")
        page = os.path.join(harness.directory, "page")
        harness.until("the page", lambda: os.path.exists(page) and os.path.getsize(page))
        with open(page) as file:
            assert "Hello from the peer at 192.0.2.2:8080" in file.read()
        os.unlink(page)
        started.stop().expect(0)


if __name__ == "__main__":
    harness.main()
