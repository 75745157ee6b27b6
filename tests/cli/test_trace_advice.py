# SPDX-License-Identifier: BSD-3-Clause
"""Where a command ends without an answer it prints the `peer trace` that tells why: exact, so that it names the
cause as it is pasted."""
import json
import re

import harness
import tracing
from harness import OWN4, OWN6, changes_machine, listening, peer, run
from tracing import nft


def cause(text):
    """The verdict of the command in `text`, run by a shell."""
    found = re.search(r"to see why: (peer trace .*)", text)
    assert found, text
    command = found.group(1)
    out = run("sh", "-c", command.replace("peer trace", f"{harness.PEER} trace --json", 1), check=False)
    return command, json.loads(out[out.index("{"):])["verdict"]


def wall(rule):
    nft(f"table inet f {{\nchain in {{\ntype filter hook input priority 0\n{rule}\n}}\n}}\n")


@changes_machine
def test_a_handshake_without_an_answer():
    sock, port = listening(OWN4)
    wall(f"tcp dport {port} drop")
    for more, said in (((), f"peer trace {OWN4} {port}"),
                       (("--tap", "--from", "198.18.3.0/28"), f"peer trace --tap --from 198.18.3.0/28 {OWN4} {port}")):
        result = peer("connect", "-w", "0.2", *more, OWN4, port).refused(1, "timed out: no answer to the handshake")
        command, verdict = cause(result.err)
        assert command == said and f"tcp dport {port} drop" in verdict["text"], (command, verdict)
    sock.close()


@changes_machine
def test_echoes_without_an_answer():
    wall("icmp type echo-request drop")
    result = peer("ping", "-c", "1", "-w", "0.2", OWN4).expect(1)
    command, verdict = cause(result.out.decode())
    assert command == f"peer trace --icmp {OWN4}" and verdict["reason"] == "firewall-rule", (command, verdict)
    document = json.loads(peer("ping", "--json", "-c", "1", "-w", "0.2", OWN4).expect(1).out)
    assert document["trace"] == command, document
    run("nft", "delete", "table", "inet", "f")
    assert "to see why" not in peer("ping", "-c", "1", OWN4).expect(0).out.decode()


@changes_machine
def test_the_first_error_of_a_soak():
    sock, port = listening(OWN4)
    sock.close()
    wall("tcp dport 7 drop\ntcp dport 8 reject with icmpx admin-prohibited\nudp dport 9 drop")
    for url, words, command, reason in (
            (f"tcp://{OWN4}:7", "the first timeout: .*no answer", f"peer trace {OWN4} 7", "firewall-rule"),
            (f"tcp://{OWN4}:8", r"the first refused: .*administratively prohibited \(ICMP\)", f"peer trace {OWN4} 8",
             "firewall-rule"),
            (f"tcp://[{OWN6}]:8", r"the first refused: .*administratively prohibited \(ICMPv6\)",
             f"peer trace {OWN6} 8", "firewall-rule"),
            (f"tcp://{OWN4}:{port}", "the first refused: .*refused", f"peer trace {OWN4} {port}", "no-listener"),
            (f"udp://{OWN4}:9", "the first timeout: ", f"peer trace -u {OWN4} 9", "firewall-rule")):
        args = ("-c", "1", "-n", "1", "-w", "0.2", url)
        result = peer("soak", *args).expect(1, out=words)
        said, verdict = cause(result.out.decode())
        assert said == command and verdict["reason"] == reason, (said, verdict)
        document = json.loads(peer("soak", "--json", *args).expect(1).out)
        assert document["trace"] == command, document


def test_where_somebody_answers_nothing_is_advised():
    echo = harness.UdpEcho()
    result = peer("soak", "-c", "1", "-n", "1", f"udp://{OWN4}:{echo.port}").expect(0)
    assert "to see why" not in result.out.decode(), result
    echo.sock.close()


@changes_machine
def test_words_are_quoted_for_a_shell():
    sock, port = listening(OWN4)
    wall(f"tcp dport {port} drop")
    run("ip", "netns", "add", "it's $HOME")
    run("ip", "netns", "exec", "it's $HOME", "ip", "link", "set", "lo", "up")
    run("ip", "netns", "exec", "it's $HOME", "ip", "addr", "add", "10.77.0.1/32", "dev", "lo")
    run("ip", "netns", "exec", "it's $HOME", "nft",
        "add table inet f; add chain inet f i { type filter hook input priority 0; policy drop; }")
    result = peer("connect", "-w", "0.2", "--netns", "it's $HOME", "10.77.0.1", 80).expect(1)
    command, verdict = cause(result.err)
    assert command == "peer trace --netns 'it'\\''s $HOME' 10.77.0.1 80", command
    assert verdict["reason"] == "firewall-policy", verdict
    run("ip", "netns", "del", "it's $HOME")
    sock.close()


if __name__ == "__main__":
    tracing.main()
