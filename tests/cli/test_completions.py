# SPDX-License-Identifier: BSD-3-Clause
"""What bash, zsh and fish complete, by asking the shells themselves at a terminal of their own: all
that the tables of the program know, and what only the machine does."""
import os
import pty
import re
import select
import signal
import struct
import subprocess
import fcntl
import termios

import harness
from harness import OWN4

COMMANDS = "connect listen ping soak exec forward proxy trace doctor application".split()

# Control-T completes with all that fits; Control-X shows what the line is then, and empties it.
BASH = r"""PS1='ready>'
bind 'set bell-style none'
bind '"\C-t": insert-completions'
shown() { printf '\nline<%s>\n' "$READLINE_LINE"; READLINE_LINE=; }
bind -x '"\C-x": shown'
source script
"""
ZSH = r"""PS1='ready>'
fpath=($PWD $fpath)
autoload -Uz compinit && compinit -u -D
zstyle ':completion:*' insert true
zstyle ':completion:*' completer _all_matches _complete
zstyle ':completion:*' accept-exact-dirs true
zle -C every complete-word _generic
bindkey '^T' every
shown() { print -r -- $'\n'"line<$BUFFER>"; BUFFER=; }
zle -N shown
bindkey -r '^X'
bindkey '^X' shown
"""


class Terminal:
    """A shell at a terminal that is as wide as its answers."""

    def __init__(self, *command):
        self.text = b""
        self.pid, self.fd = pty.fork()
        if self.pid == 0:
            os.environ.update(TERM="dumb", ZDOTDIR=os.getcwd(), HOME=os.getcwd(), HISTFILE="", LC_ALL="C.UTF-8")
            os.execvp(command[0], command)
        fcntl.ioctl(self.fd, termios.TIOCSWINSZ, struct.pack("HHHH", 50, 5000, 0, 0))
        self.wait(rb"ready>")

    def wait(self, pattern):
        while not (found := re.search(pattern, self.text, re.S)):
            assert select.select([self.fd], [], [], harness.LIMIT_S)[0], f"the shell says no more: {self.text}"
            self.text += os.read(self.fd, 65536)
        self.text = self.text[found.end():]
        return found

    def ask(self, line):
        os.write(self.fd, line.encode() + b"\x14\x18")
        after = self.wait(rb"line<([^>]*)>").group(1).decode()
        start = line[: line.rfind(" ") + 1]
        assert after.startswith(start), (line, after)
        return set(re.sub(r"\\(.)", r"\1", after[len(start):]).split())

    def end(self):
        os.kill(self.pid, signal.SIGHUP)
        os.waitpid(self.pid, 0)
        os.close(self.fd)


class Fish:
    def ask(self, line):
        out = subprocess.run(["fish", "--no-config", "-c", f"source script; complete -C '{line}'"], check=True,
                             stdout=subprocess.PIPE, env={**os.environ, "HOME": os.getcwd()}, text=True).stdout
        return {answer.split("\t")[0] for answer in out.splitlines()}

    def end(self):
        pass


def write(name, text):
    with open(name, "w") as file:
        file.write(text)


def script(shell):
    return harness.peer("--completions", shell).expect(0).out.decode()


def start(name):
    os.chdir(harness.directory)
    harness.need(name)
    os.symlink(harness.PEER, "peer")
    os.environ["PATH"] = os.getcwd() + ":" + os.environ["PATH"]
    write("_peer" if name == "zsh" else "script", script(name))
    write("capture.pcapng", "")
    if name == "bash":
        write("rc", BASH)
        return Terminal("bash", "--rcfile", "rc", "-i")
    if name == "zsh":
        write(".zshrc", ZSH)
        return Terminal("zsh", "-d", "-i")
    return Fish()


def help_options(command):
    """As --help lists them: letters and names."""
    text = harness.peer(command, "--help").expect(0).out.decode()
    found = re.findall(r"^  (?:(-\w), |    )(--[\w-]+)", text, re.M)
    return {name for _, name in found}, {letter for letter, _ in found if letter}


def names(*arguments):
    """First words of a list that the program prints."""
    text = harness.peer(*arguments).expect(0).out.decode()
    return set(re.findall(r"^ *([a-z0-9][a-z0-9-]*)(?=[: ])", text, re.M))


def commands_and_options(shell):
    assert set(COMMANDS) <= shell.ask("peer "), shell.ask("peer ")
    assert shell.ask("peer so") == {"soak"}
    assert set(COMMANDS) <= shell.ask("peer help ")
    for command in COMMANDS:
        long, short = help_options(command)
        found = {word.rstrip("=") for word in shell.ask(f"peer {command} --")}
        assert found - {"--"} == long, (command, found ^ long)
    assert shell.ask("peer ping --cou") <= {"--count", "--count="}


def values_of_tables(shell):
    for option, command, listed in (("--link", "connect", ("connect", "--link", "help")),
                                    ("--manner", "soak", ("connect", "--manner", "help")),
                                    ("--workload", "soak", ("soak", "--workload", "help"))):
        found = shell.ask(f"peer {command} {option} ")
        assert found, option
        for word in found - {"help", "none"}:
            assert word in names(*listed), (option, word)
        assert len(found) > 4 and "help" in found, found
    assert shell.ask("peer exec --spread ") == {"connection", "destination", "run"}
    assert shell.ask("peer exec -s 198.18.0.0/16 --spread de") == {"destination"}
    assert shell.ask("peer soak --proxy-protocol ") == {"v1", "v2"}
    assert shell.ask("peer soak http") >= {"http://"}
    assert shell.ask("peer application ht") == {"http:"}


def values_of_the_machine(shell):
    harness.run("ip", "netns", "add", "blue")
    try:
        assert shell.ask("peer connect --netns bl") == {"blue"}
        assert shell.ask("peer soak --wire ") == {"lo", "eth0", "wire"}
        assert shell.ask("peer connect --user nobo") == {"nobody"}
        assert shell.ask("peer connect --pcap cap") == {"capture.pcapng"}
        assert shell.ask("peer exec -o cap") == {"capture.pcapng"}
        assert OWN4 in shell.ask("peer connect ")
        assert shell.ask(f"peer connect {OWN4[:-1]}") == {OWN4}
        assert OWN4 not in shell.ask(f"peer connect {OWN4} "), "a port, not another host"
        assert "mkfifo" in shell.ask("peer exec -s 198.18.0.0/16 -- mkfi")
    finally:
        harness.run("ip", "netns", "delete", "blue")


def check(name):
    shell = start(name)
    try:
        commands_and_options(shell)
        values_of_tables(shell)
        values_of_the_machine(shell)
        if name != "fish":
            assert shell.ask("peer connect --pcap=cap") == {"--pcap=capture.pcapng"}
            assert shell.ask("peer soak --link=no") == {"--link=none"}
    finally:
        shell.end()


@harness.changes_machine
def test_bash():
    check("bash")


@harness.changes_machine
def test_zsh():
    check("zsh")


@harness.changes_machine
def test_fish():
    check("fish")


def test_what_is_no_shell():
    for words in ((), ("tcsh",)):
        harness.peer("--completions", *words).expect(2, "bash|zsh|fish", lines=1)


harness.main()
