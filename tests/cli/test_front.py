# SPDX-License-Identifier: BSD-3-Clause
"""The process that a shell waits for (front_program, with the smallest engine behind it; peer exec): a program behind
it stops, goes on and ends as without it, at a terminal, in a script, and when somebody is killed."""
import fcntl
import os
import random
import re
import select
import signal
import struct
import subprocess
import sys
import termios

import harness


def front():
    """The front with the smallest engine, or that of peer exec."""
    whole = os.path.basename(harness.options.peer) == "peer"
    return [harness.PEER, *(["exec", "--"] if whole else [])]


def command(*words):
    return [*front(), *words]


def run(*words, **more):
    return subprocess.run(command(*words), stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                          timeout=harness.LIMIT_S, check=False, **more)


def start(script, **more):
    """Behind the front, a shell with a script that says when it is there."""
    process = subprocess.Popen(command("sh", "-c", script), stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                               stderr=subprocess.PIPE, **more)
    assert process.stdout.readline() == b"here\n"
    return process


def children(pid):
    with open(f"/proc/{pid}/task/{pid}/children", encoding="ascii") as file:
        return [int(child) for child in file.read().split()]


def state(pid):
    try:
        with open(f"/proc/{pid}/stat", encoding="ascii") as file:
            return file.read().rpartition(")")[2].split()[0]
    except OSError:
        return "gone"


def name(pid):
    with open(f"/proc/{pid}/comm", encoding="ascii") as file:
        return file.read().strip()


def engine_of(front):
    engine, = children(front)
    return engine


def holder_of(front):
    holder, = (pid for pid in children(engine_of(front)) if name(pid) == "peer-isolate")
    return holder


# ---- exit status ----

def test_its_exit_status_is_the_program_s():
    for status in (0, 1, 42, 125, 255):
        assert run("sh", "-c", f"exit {status}").returncode == status


def test_it_ends_by_the_signal_that_ended_the_program():
    for number in (signal.SIGTERM, signal.SIGKILL, signal.SIGINT, signal.SIGSEGV, signal.SIGPIPE, signal.SIGRTMIN + 3):
        assert run("sh", "-c", f"kill -{int(number)} $$").returncode == -number, number


def test_a_program_that_cannot_be_run_is_told_from_one_that_is_not_there():
    assert run("no-such-program").returncode == 127
    assert run("/dev/null").returncode == 126


# ---- signals ----

def test_what_is_sent_to_it_alone_reaches_the_program():
    for number in (signal.SIGTERM, signal.SIGHUP, signal.SIGINT, signal.SIGQUIT, signal.SIGUSR1, signal.SIGUSR2,
                   signal.SIGALRM, signal.SIGWINCH, signal.SIGRTMIN + 1):
        process = start(f"trap 'echo got it; exit 5' {int(number)}; echo here; while :; do read _ || :; done",
                        start_new_session=True)
        process.send_signal(number)
        assert process.stdout.readline() == b"got it\n", number
        assert process.wait(harness.LIMIT_S) == 5
        process.communicate()


def test_without_a_trap_the_signal_ends_both():
    process = start("echo here; exec sleep 1000")
    process.terminate()
    assert process.wait(harness.LIMIT_S) == -signal.SIGTERM
    process.communicate()


def test_timeout_ends_the_program():
    result = subprocess.run(["timeout", "0.05", *command("sleep", "1000")], check=False, timeout=harness.LIMIT_S)
    assert result.returncode == 124


def test_an_alarm_of_who_executed_it_reaches_the_program():
    script = "import signal, os, sys; signal.setitimer(signal.ITIMER_REAL, 0.05); os.execv(sys.argv[1], sys.argv[1:])"
    result = subprocess.run([sys.executable, "-c", script, *command("sleep", "1000")], check=False,
                            timeout=harness.LIMIT_S)
    assert result.returncode == -signal.SIGALRM


def test_ignored_signals_stay_ignored():
    def ignore():
        signal.signal(signal.SIGHUP, signal.SIG_IGN)
    process = start("echo here; read line; echo $line", preexec_fn=ignore)
    process.send_signal(signal.SIGHUP)
    assert process.communicate(b"still here\n")[0] == b"still here\n"
    assert process.returncode == 0


# ---- streams and descriptors ----

def test_standard_streams_are_the_program_s():
    process = start("echo here; cat; echo done >&2")
    out, error = process.communicate(b"through\n")
    assert (out, error) == (b"through\n", b"done\n")


def test_the_end_of_output_is_seen_while_the_program_lives():
    process = start("echo here; exec >&-; read line")
    assert process.stdout.read() == b""
    process.stdin.close()
    assert process.wait(harness.LIMIT_S) == 1
    process.stderr.close()


def test_the_end_of_an_inherited_descriptor_is_seen():
    reader, writer = os.pipe()
    os.set_inheritable(writer, True)
    process = subprocess.Popen(command("sh", "-c", 'eval "echo by it >&$0; exec $0>&-"; read line', str(writer)),
                               stdin=subprocess.PIPE, pass_fds=[writer])
    os.close(writer)
    with open(reader, "rb") as file:
        assert file.read() == b"by it\n"
    process.communicate(b"line\n")
    assert process.returncode == 0


def test_closed_streams_stay_closed():
    result = subprocess.run(["sh", "-c", '"$@" sh -c "ls -l /proc/self/fd >&2" <&-', "sh", *front()],
                            stderr=subprocess.PIPE, check=True, timeout=harness.LIMIT_S)
    assert not re.search(rb" 0 -> /dev/null", result.stderr), result.stderr


def test_limits_and_umask_are_the_caller_s():
    script = "ulimit -Sn 77; umask 027; \"$@\" sh -c 'ulimit -Sn; umask'"
    result = subprocess.run(["sh", "-c", script, "sh", *front()], stdout=subprocess.PIPE, check=True,
                            timeout=harness.LIMIT_S)
    assert result.stdout == b"77\n0027\n", result.stdout


# ---- a terminal ----

class Shell:
    """An interactive shell at a terminal of its own."""

    def __init__(self):
        self.master, slave = harness.pty.openpty()
        fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack("HHHH", 24, 300, 0, 0))
        self.screen = b""

        def own_terminal():
            os.setsid()
            fcntl.ioctl(0, termios.TIOCSCTTY, 0)

        environment = {**os.environ, "PS1": "ready> ", "P": " ".join(front()), "HISTFILE": "", "TERM": "dumb"}
        self.process = subprocess.Popen(["bash", "--norc", "--noprofile", "-i"], stdin=slave, stdout=slave,
                                        stderr=slave, preexec_fn=own_terminal, env=environment)
        os.close(slave)
        self.see(rb"ready> ")

    def see(self, pattern):
        def look():
            while select.select([self.master], [], [], 0)[0]:
                try:
                    self.screen += os.read(self.master, 65536)
                except OSError:  # the shell has ended
                    break
            return re.search(pattern, self.screen)
        try:
            found = harness.until(f"{pattern!r} on the screen", look)
        except AssertionError as error:
            raise AssertionError(f"{error}; there is {self.screen!r}")
        self.screen = self.screen[found.end():]
        return found

    def type(self, text):
        os.write(self.master, text.encode())

    def tell(self, line):
        self.type(line + "\n")
        self.see(re.escape(line.encode()) + rb"\r\n")

    def behind_front(self, script, more=""):
        """Types a command: a shell with a script, behind the front."""
        path = os.path.join(harness.directory, "script")
        with open(path, "w", encoding="utf-8") as file:
            file.write(script)
        self.tell(f"$P sh {path} {more}")

    def foreground(self):
        return os.tcgetpgrp(self.master)

    def end(self):
        self.tell("exit")
        harness.until("the end of the shell", lambda: self.process.poll() is not None)
        os.close(self.master)


def test_ctrl_c_ends_both_and_the_shell_sees_it():
    shell = Shell()
    shell.behind_front("echo here; exec sleep 1000")
    shell.see(rb"here")
    shell.type("\x03")
    shell.see(rb"ready> ")
    shell.tell('echo "status"=$?')
    shell.see(rb"status=130")
    shell.end()


def test_ctrl_c_comes_once_to_a_program_that_catches_it():
    shell = Shell()
    shell.behind_front("trap 'echo caught' INT; echo here; read x; read x; echo end$x")
    shell.see(rb"here")
    shell.type("\x03")
    shell.see(rb"caught")
    shell.type("ing\n\n")
    found = shell.see(rb"(?s)(.*)end\S*\r\n")
    assert b"caught" not in found.group(1), found
    shell.end()


def test_ctrl_z_stops_the_job_and_fg_goes_on():
    shell = Shell()
    shell.behind_front("echo here; read x; echo got-$x")
    shell.see(rb"here")
    job = shell.foreground()
    shell.type("\x1a")
    shell.see(rb"Stopped")
    shell.see(rb"ready> ")
    assert state(job) == "T"
    assert state(engine_of(job)) != "T"  # others' packets go on
    shell.tell("fg")
    shell.type("this\n")
    shell.see(rb"got-this")
    shell.see(rb"ready> ")
    shell.end()


def test_a_job_in_the_background_stops_when_it_reads():
    shell = Shell()
    shell.behind_front("read x; echo got-$x", "&")
    job = int(shell.see(rb"\[1\] (\d+)").group(1))
    harness.until("the front to stop", lambda: state(job) == "T")
    shell.tell("jobs")
    shell.see(rb"Stopped")
    shell.tell("fg")
    shell.type("that\n")
    shell.see(rb"got-that")
    shell.end()


def test_bg_goes_on_without_the_terminal():
    shell = Shell()
    shell.behind_front("echo here; kill -STOP $$; echo going on")
    shell.see(rb"here")
    shell.see(rb"Stopped")
    shell.tell("bg")
    shell.see(rb"going on")
    shell.tell("wait; echo all")
    shell.see(rb"all")
    shell.end()


def test_who_is_continued_from_outside_wakes_its_front():
    shell = Shell()
    shell.behind_front("echo pid=$$; kill -STOP $$; exec sleep 1000")
    program = int(shell.see(rb"pid=(\d+)").group(1))
    shell.see(rb"Stopped")
    job, = children(shell.process.pid)
    assert state(job) == "T"
    os.kill(program, signal.SIGCONT)
    harness.until("the front to go on", lambda: state(job) != "T")
    os.kill(job, signal.SIGTERM)
    harness.until("the end", lambda: state(job) in "gone Z")
    shell.end()


def test_a_shell_behind_it_has_jobs_of_its_own():
    shell = Shell()
    shell.tell('$P bash --norc --noprofile -i')
    shell.see(rb"ready> ")
    shell.tell("sh -c 'echo he\"\"re; exec sleep 1000'")
    shell.see(rb"here")
    shell.type("\x1a")
    shell.see(rb"Stopped")
    shell.see(rb"ready> ")
    shell.tell("kill %1; wait; echo inn''er")
    shell.see(rb"inner")
    shell.tell("sh -c 'echo he\"\"re; exec sleep 1000'")
    shell.see(rb"here")
    shell.type("\x03")
    shell.see(rb"ready> ")
    shell.tell("suspend -f")
    shell.see(rb"Stopped")
    shell.see(rb"ready> ")
    shell.tell("fg")
    shell.tell("exit 3")
    shell.see(rb"ready> ")
    shell.tell('echo "back"=$?')
    shell.see(rb"back=3")
    shell.end()


def test_the_size_of_the_terminal_reaches_the_program():
    shell = Shell()
    shell.behind_front("trap 'stty size; exit' WINCH; echo here; while :; do read x || :; done")
    shell.see(rb"here")
    fcntl.ioctl(shell.master, termios.TIOCSWINSZ, struct.pack("HHHH", 33, 99, 0, 0))
    shell.see(rb"33 99")
    shell.end()


def test_a_terminal_that_goes_away_takes_the_program_along():
    shell = Shell()
    shell.behind_front("echo pid=$$; exec sleep 1000")
    program = int(shell.see(rb"pid=(\d+)").group(1))
    os.close(shell.master)
    harness.until("the end of the program", lambda: state(program) == "gone")
    shell.process.wait(harness.LIMIT_S)


def test_a_stopped_job_does_not_outlive_its_shell():
    shell = Shell()
    shell.behind_front("echo pid=$$; exec sleep 1000")
    program = int(shell.see(rb"pid=(\d+)").group(1))
    shell.type("\x1a")
    shell.see(rb"Stopped")
    shell.process.kill()
    shell.process.wait()
    harness.until("the end of the program", lambda: state(program) == "gone")
    os.close(shell.master)


# ---- killed ----

def test_a_killed_engine_is_told_and_takes_the_program_along():
    process = start("echo here; exec sleep 1000")
    os.kill(engine_of(process.pid), signal.SIGKILL)
    error = process.communicate(timeout=harness.LIMIT_S)[1]
    assert process.returncode == 125
    assert error.count(b"\n") == 1 and b"signal 9" in error, error


def test_a_killed_front_takes_all_along():
    process = start("setsid sleep 1000 & echo here; exec sleep 1000")
    process.kill()
    assert process.stdout.read() == b""  # nobody has it any more
    process.communicate()


def test_a_killed_group_leaves_nothing():
    process = start("setsid sleep 1000 & echo here; exec sleep 1000", start_new_session=True)
    os.killpg(process.pid, signal.SIGKILL)
    assert process.stdout.read() == b""
    process.communicate()


def test_nothing_is_left_whoever_is_killed_and_when():
    """Descendants in sessions of their own too. Output ends when the last of them does."""
    seed = random.randrange(1 << 30)
    rng = random.Random(seed)
    script = "for i in 1 2 3 4 5 6; do setsid sh -c 'echo .; exec sleep 1000' & done; sleep 1000"
    for turn in range(30):
        process = subprocess.Popen(command("sh", "-c", script), stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                                   stderr=subprocess.DEVNULL)
        for _ in range(rng.randrange(1, 7)):
            process.stdout.readline()
        engine, holder = engine_of(process.pid), holder_of(process.pid)
        victims = rng.sample([process.pid, engine, holder], rng.randrange(1, 4))
        for pid in victims:
            try:
                os.kill(pid, signal.SIGKILL)
            except ProcessLookupError:
                pass  # it ended with the one before
        if not select.select([process.stdout], [], [], harness.LIMIT_S)[0]:
            raise AssertionError(f"seed {seed}, turn {turn}: {victims} were killed, and somebody lives")
        process.stdout.read()
        process.wait(harness.LIMIT_S)
        process.stdout.close()


if __name__ == "__main__":
    harness.main()
