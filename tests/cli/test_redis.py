#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-3-Clause
"""soak redis://: a real server, and one that answers whatever the protocol allows and does not."""
import json
import os
import socket
import subprocess
import threading

import harness
from harness import OWN4, peer
from servers import Certificates


def soak(*args, status=0):
    result = peer("soak", "--json", *args, limit=60)
    result.expect(status)
    return json.loads(result.out)


def redis():
    harness.need("redis-server", "redis-cli")
    server = subprocess.Popen(["redis-server", "--bind", OWN4, "127.0.0.1", "--save", "", "--dir",
                               harness.directory, "--protected-mode", "no"],
                              stdout=subprocess.DEVNULL)
    harness.until("redis listens", lambda: ":6379 " in harness.run("ss", "-Hltn"))
    return server


def ask(*words):
    return subprocess.run(["redis-cli", *words], check=True, capture_output=True, text=True).stdout


def test_a_real_server_counts_the_same():
    server = redis()
    report = soak(f"redis://{OWN4}", "-c", 8, "-n", 400)
    assert report["requests"]["completed"] == 400 and report["errors"]["total"] == 0, report
    assert "cmdstat_ping:calls=400," in ask("info", "commandstats")
    report = soak(f"redis://{OWN4}:6379", "-c", 4, "-n", 60, "--body", "INCR counted")
    assert report["requests"]["completed"] == 60 and ask("get", "counted").strip() == "60"
    report = soak(f"redis://{OWN4}", "-R", 50, "-n", 50, "-c", 3, "--body", "LRANGE nothing 0 9")
    assert report["requests"]["completed"] == 50 and report["rate"]["asked"] == 50 and report["corrected"]
    # All kinds of values, one in another, and a bulk of many frames.
    ask("rpush", "list", "one", "two", "", "four")
    ask("setrange", "long", "3000000", "end")
    for command in "LRANGE list 0 -1", "GET none", "GET long", "COMMAND", "XPENDING a b 0 0":
        wrong = command.startswith("X")
        report = soak(f"redis://{OWN4}", "-n", 3, "--body", command, status=1 if wrong else 0)
        assert report["requests"]["completed"] == (0 if wrong else 3), (command, report)
    server.terminate()
    server.wait()


def test_a_pipeline_is_counted_by_the_server():
    server = redis()
    report = soak(f"redis://{OWN4}", "-c", 3, "-P", 16, "-n", 5000, "--body", "INCR counted")
    assert report["requests"]["completed"] == 5000 and report["errors"]["total"] == 0, report
    assert ask("get", "counted").strip() == "5000"
    assert "cmdstat_incr:calls=5000," in ask("info", "commandstats")
    assert "total_error_replies:0" in ask("info", "stats")
    server.terminate()
    server.wait()


def test_the_example_of_the_manual():
    server = redis()
    words = harness.example("peer-soak.1", "redis://192.0.2.80 ")
    result = peer(*words, "--json", "-n", 4000).expect(0)
    assert json.loads(result.out)["requests"]["completed"] == 4000
    assert "cmdstat_get:calls=4000," in ask("info", "commandstats")
    server.terminate()
    server.wait()


def test_a_login_and_a_database():
    server = redis()
    ask("acl", "setuser", "me", "on", ">p w:d%/1", "~*", "+@all")
    ask("config", "set", "requirepass", "other")
    url = f"redis://me:p%20w%3ad%25%2f1@{OWN4}/5"
    report = soak(url, "-c", 2, "-n", 300, "--no-keep-alive", "--body", "INCR counted")
    assert report["requests"]["completed"] == 300 and report["errors"]["total"] == 0, report
    assert report["latency_us"]["login"]["p50"] > 0 and "p w" not in json.dumps(report), report
    asked = ("--no-auth-warning", "-a", "other")
    assert ask(*asked, "-n", "5", "get", "counted").strip() == "300"
    books = ask(*asked, "info", "commandstats")
    assert "cmdstat_auth:calls=302," in books and "cmdstat_select:calls=301," in books, books
    # The default user has a password only; it may be in the environment.
    for target, password in ((f"redis://:other@{OWN4}", "wrong"), (f"redis://{OWN4}", "other")):
        os.environ["PEER_PASSWORD"] = password
        assert soak(target, "-n", 10)["requests"]["completed"] == 10
    del os.environ["PEER_PASSWORD"]
    for target, words in ((f"redis://me:no@{OWN4}", "WRONGPASS"), (f"redis://:other@{OWN4}/99", "out of range"),
                          (f"redis://{OWN4}", "NOAUTH")):
        report = soak(target, "-n", 3, status=1)
        assert report["errors"]["login"] == 3 == report["errors"]["total"], report
        assert words in report["first_errors"]["login"], report
    server.terminate()
    server.wait()


def test_rediss_is_redis_over_tls():
    harness.need("redis-server")
    identity = Certificates().make("redis", names=f"IP:{OWN4}")
    server = subprocess.Popen(["redis-server", "--bind", OWN4, "127.0.0.1", "--save", "", "--dir", harness.directory,
                               "--protected-mode", "no", "--requirepass", "secret", "--tls-port", "6380",
                               "--tls-cert-file", identity[0], "--tls-key-file", identity[1], "--tls-auth-clients",
                               "no"], stdout=subprocess.DEVNULL)
    harness.until("redis listens", lambda: ":6380 " in harness.run("ss", "-Hltn"))
    report = soak(f"rediss://:secret@{OWN4}:6380/3", "-c", 3, "-P", 16, "-n", 3000, "--body", "INCR counted")
    assert report["requests"]["completed"] == 3000 and report["errors"]["total"] == 0, report
    assert report["tls"]["handshakes"] == 3 == report["logins"]["completed"], report
    assert ask("--no-auth-warning", "-a", "secret", "-n", "3", "get", "counted").strip() == "3000"
    report = soak(f"rediss://:secret@{OWN4}:6379", "-n", 2, "-w", "500ms", status=1)  # there is no TLS
    assert report["errors"]["total"] == 2 and report["requests"]["completed"] == 0, report
    server.terminate()
    server.wait()


def test_a_server_that_is_full_is_told_from_one_that_refuses():
    server = redis()
    ask("config", "set", "maxclients", "5")
    report = soak(f"redis://{OWN4}", "-c", 20, "-d", "500ms", status=1)
    assert report["errors"]["full"] > 0 == report["errors"]["login"], report
    assert "max number of clients" in report["first_errors"]["full"], report
    assert report["requests"]["completed"] > 0, report
    server.terminate()
    server.wait()


def test_an_error_of_the_server_is_an_error():
    server = redis()
    report = soak(f"redis://{OWN4}", "-n", 5, "--body", "NONSENSE", status=1)
    assert report["errors"]["bad_answer"] == 5 and report["connections"]["established"] == 1, report
    assert "the server says" in report["first_error"], report
    assert "unknown command" in report["first_error"], report
    server.terminate()
    server.wait()


def serve(listener, answer, piece):
    """Answers each line that comes, in pieces."""
    while True:
        try:
            caller, _ = listener.accept()
        except OSError:
            return
        with caller, caller.makefile("rb") as lines:
            try:
                for _ in lines:
                    for at in range(0, len(answer), piece):
                        caller.sendall(answer[at:at + piece])
            except OSError:
                pass


def test_answers_by_the_protocol():
    deep = b"*2\r\n*0\r\n*2\r\n$-1\r\n*1\r\n$4\r\n\r\n\r\n\r\n"
    right = [b"+PONG\r\n", b":42\r\n", b"$0\r\n\r\n", b"$-1\r\n", b"*-1\r\n", b"*0\r\n", deep,
             b"+" + b"long" * 100 + b"\r\n"]
    wrong = [(b"PONG\r\n", "none of Redis's protocol"), (b"$x\r\n", "none of Redis's protocol"),
             (b"$5\r\nabc\r\n+", "no answer in time"), (b"+a\nb\r\n+c\r\n", "follow"),
             (b"*99999999\r\n", "none of Redis's protocol"), (b"*2\r\n+a\r\n-no\r\n", "says \"no\"")]
    for answer, words in [(one, None) for one in right] + wrong:
        with socket.create_server((OWN4, 0)) as listener:
            piece = 100 if words == "follow" else 3  # in one segment: else it comes unasked
            threading.Thread(target=serve, args=(listener, answer, piece), daemon=True).start()
            port = listener.getsockname()[1]
            report = soak(f"redis://{OWN4}:{port}", "-n", 2, "-w", "300ms", "--body", "'one line'",
                          status=1 if words else 0)
            assert report["requests"]["completed"] == (0 if words else 2), (answer, report)
            assert not words or words in report["first_error"], (answer, report)
            listener.shutdown(socket.SHUT_RDWR)


def test_what_does_not_go_together_is_refused():
    for args, words in (((f"redis://{OWN4}/none",), "no database of Redis"),
                        ((f"redis://me@{OWN4}",), "has a password"),
                        ((f"redis://:%zz@{OWN4}",), "two hexadecimal"),
                        ((f"http://a:b@{OWN4}/",), "Authorization"),
                        ((f"http://{OWN4}/", "-P", "2"), "-P goes with .*redis://"),
                        ((f"redis://:secret@{OWN4}", "--idle"), "a login goes with .*redis://"),
                        ((f"redis://{OWN4}", "-H", "A: b"), "go with http://"),
                        ((f"redis://{OWN4}", "--workload", "send"), "--workload goes with tcp://"),
                        ((f"redis://{OWN4}", "--body", "A\nB"), "one command"),
                        ((f"tcp://{OWN4}:7", "--body", "a"), "--body goes with .*redis://")):
        peer("soak", *args).expect(2, err=words)


if __name__ == "__main__":
    harness.main()
