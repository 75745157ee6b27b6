# SPDX-License-Identifier: BSD-3-Clause
"""Somebody kills the processes that help: the holder of an isolated namespace, the guardian."""
import os
import signal

import harness
import test_wire as wired
from harness import OWN4, OWN6, PEER4, PEER6, Peer, Server, until


def helper(name):
    def find():
        for pid in harness.descendants():
            try:
                with open(f"/proc/{pid}/comm") as file:
                    if file.read().strip() == name:
                        return pid
            except OSError:
                pass
        return None
    return until(f"a process {name}", find)


def kill_helper(name):
    pid = helper(name)
    os.kill(pid, signal.SIGKILL)
    return pid


def test_the_holder_is_killed_and_the_program_with_it():
    for args in (("connect", "-v", OWN4, 7, "--isolate", "--", harness.PEER, "application", "echo:7"),
                 ("soak", f"tcp://{OWN4}:7", "-d", "60s", "--json-stream", "--interval", "100ms", "--isolate", "--",
                  harness.PEER, "application", "echo:7"),
                 ("listen", 7000, "--isolate", "--", "sleep", "1000"),
                 ("listen", 7000, "--serve", "echo", "--isolate", "--", "sleep", "1000")):
        started = Peer(*args)
        program = "sleep" if "sleep" in args else "application"
        until("the program", lambda: any(program in harness.command_line(pid) and "isolate" not in
                                         harness.command_line(pid) for pid in harness.descendants()))
        if args[0] == "listen":
            started.wait_err("listening")
        elif args[0] == "connect":  # before that it waits for the program, and says so
            started.wait_err("connected in")
        else:
            started.wait_out(b"start_s")
        pid = kill_helper("peer-isolate")
        result = started.wait()
        assert result.status == 3, result
        # It may run, and peer not have heard of that yet.
        assert (f"killed the process that held the isolated namespace ({pid}), and the program with it" in result.err or
                "cannot start the program: the process that holds its namespace was killed" in result.err), result
        started.close_stdin()


def test_what_the_program_had_started_ends_too():
    started = Peer("listen", 7000, "--isolate", "--", "sh", "-c", "setsid sleep 1234 & setsid sleep 1235 & wait")
    sleepers = lambda: [pid for pid in harness.descendants() if "sleep 123" in harness.command_line(pid)
                        and "sh -c" not in harness.command_line(pid)]
    until("both", lambda: len(sleepers()) == 2)
    kill_helper("peer-isolate")
    assert started.wait().status == 3
    until("their end", lambda: not sleepers())
    started.close_stdin()


def test_a_namespace_without_a_program_outlives_its_holder():
    started = Peer("listen", 7000, "--isolate", "--serve", "echo")
    started.wait_err("listening")
    kill_helper("peer-isolate")
    started.wait_err("killed the process that held the isolated namespace .*as long as peer does")
    started.stop().expect(0)


def talk_over_kills(own, name, *args):
    server = Server(harness.echo_all, own)
    started = Peer("connect", *args, own, server.port)
    until("the connection", lambda: server.callers)
    for times in (1, 2):
        pid = kill_helper(name)
        started.wait_err(rf"tidies \w+ up afterwards \({pid}\); another one does")
        assert helper(name) != pid
        started.send(b"line\n", close=False)
        until("the answer", lambda: started.out().count(b"\n") == times)
    return server, started


@harness.changes_machine
def test_a_guardian_that_is_killed_is_replaced():
    with wired.real_wire():
        for from_, own in ((PEER4, OWN4), (PEER6, OWN6)):
            for name, args in (("peer-guard", ()), ("peer-guard", ("--tap",)), ("peer-wire", ("--wire", "eth0"))):
                server, started = talk_over_kills(own, name, "--from", from_, *args)
                started.close_stdin()
                started.wait().expect(0)
                server.join()


@harness.changes_machine
def test_the_next_guardian_does_what_is_to_be_done():
    with wired.real_wire() as wire:
        for name, args in (("peer-guard", ()), ("peer-wire", ("--wire", "eth0"))):
            _server, started = talk_over_kills(OWN4, name, "--from", PEER4, *args)
            started.signal(signal.SIGKILL)
            started.wait()
            started.close_stdin()
            until("its end", lambda: not harness.guardians())
            assert not wired.sockets_of(PEER4)
            wire.check_silent_about(PEER4)


if __name__ == "__main__":
    harness.main()
