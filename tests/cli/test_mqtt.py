#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-3-Clause
"""soak mqtt:// against mosquitto: its own counters, its logins, connections that are held."""
import json
import re

import harness
import servers
from harness import OWN4, peer


def soak(*args, status=0):
    result = peer("soak", "--json", *args, limit=60)
    result.expect(status)
    return json.loads(result.out)


def test_the_broker_counts_the_same():
    with servers.Mosquitto() as broker:
        received, acknowledged = 0, 0
        for qos, flows, deep, count in ((0, 4, 1, 300), (1, 4, 1, 300), (0, 3, 16, 2000), (1, 3, 16, 2000)):
            report = soak(f"mqtt://{OWN4}/soak?qos={qos}", "-c", flows, "-P", deep, "-n", count)
            assert report["requests"]["completed"] == count and report["errors"]["total"] == 0, report
            assert report["connections"]["established"] == flows, report
            assert report["latency_us"]["login"]["p50"] > 0 and "datagrams" not in report, report
            received += count
            acknowledged += qos * count
            broker.until({"messages/received": received, "bytes/received": 64 * received, "messages/dropped": 0})
        # Each said good-bye, and none had the name of another.
        harness.until("the last has gone", lambda: broker.packets()["Received DISCONNECT"] == 14)
        assert broker.packets() == {
            "Received PUBLISH": received, "Sending PUBLISH": received, "Received PUBACK": acknowledged,
            "Sending PUBACK": acknowledged, "Sending CONNACK": 14, "Received SUBSCRIBE": 14, "Sending SUBACK": 14,
            "Received DISCONNECT": 14}, broker.packets()
        assert len(set(re.findall(r"as (peer[0-9a-f]{16}) ", broker.books()))) == 14


def test_large_messages_and_pieces():
    with servers.Mosquitto() as broker:
        report = soak(f"mqtt://{OWN4}/a%20topic/of/ours?qos=1", "-c", 3, "-P", 4, "-n", 60, "--size", "300k",
                      "--link", "loss 1%")
        assert report["requests"]["completed"] == 60 and report["errors"]["total"] == 0, report
        assert report["bytes"]["received"] > 60 * 300 * 1000, report
        broker.until({"messages/received": 60})
        assert "a topic/of/ours/peer" in broker.books()


def test_who_is_refused_is_told_why():
    with servers.Mosquitto(password=("me", "se:cret"), rules="user me\ntopic readwrite mine/#") as broker:
        report = soak(f"mqtt://me:se%3acret@{OWN4}/mine?qos=1", "-n", 20)
        assert report["requests"]["completed"] == 20 and report["errors"]["total"] == 0, report
        for user, topic, words in (("me:wrong@", "mine", "not authorized"), ("", "mine", "not authorized")):
            report = soak(f"mqtt://{user}{OWN4}/{topic}", "-n", 2, status=1)
            assert report["errors"]["login"] == 2 == report["errors"]["total"], report
            assert words in report["first_errors"]["login"], report
        assert "se:cret" not in json.dumps(report) and broker.process.poll() is None


def test_connections_that_are_held():
    with servers.Mosquitto() as broker:
        report = soak(f"mqtt://{OWN4}/held?keepalive=1s", "--idle", "-c", 50, "-d", "3s")
        assert report["errors"]["total"] == 0 and report["connections"]["established"] == 50, report
        assert report["latency_us"]["login"]["p50"] > 0, report
        assert "timeout" not in broker.books() and broker.packets()["Received PINGREQ"] >= 50, broker.packets()
        report = soak(f"mqtt://{OWN4}/held?qos=1", "--idle", "-c", 20, "--touch", 20, "-n", 20)
        assert report["errors"]["total"] == 0, report
        broker.until({"messages/received": 20})


def test_wills_of_those_who_vanish():
    with servers.Mosquitto() as broker:
        report = soak(f"mqtt://{OWN4}/t?qos=1&keepalive=1s", "-c", 10, "--think", "100ms", "-d", "9s",
                      "--manner", "vanish:30%@1s", "--link", "delay 1ms")
        wills = {line.split()[4] for line in broker.books().splitlines() if "Sending PUBLISH" in line and "t/will" in line}
        assert len(wills) == 1, "one client hears them"
        assert report["wills"] == {"due": 3, "came": 3} and report["errors"]["total"] == 0, report
        assert broker.books().count("'t/will'") >= 3, broker.books()
        # It waits for one and a half keep-alive times, and looks every five seconds.
        assert report["latency_us"]["will"]["min"] > 1.3e6, report
        text = peer("soak", f"mqtt://{OWN4}/t?wills=yes", "-c", 2, "-n", 20, limit=60).expect(0).out
        assert b"will" not in text, text


def test_over_tls():
    identity = servers.Certificates().make("broker", f"DNS:a.example,IP:{OWN4}")
    with servers.Mosquitto(identity=identity) as broker:
        report = soak(f"mqtts://{OWN4}/soak?qos=1", "-c", 4, "-P", 4, "-n", 200, "--size", "5000")
        assert report["requests"]["completed"] == 200 and report["errors"]["total"] == 0, report
        assert report["latency_us"]["tls"]["p50"] > 0 < report["latency_us"]["login"]["p50"], report
        broker.until({"messages/received": 200, "bytes/received": 1000000})
        assert broker.packets()["Sending PUBLISH"] == 200
        assert soak(f"mqtts://{OWN4}/held", "--idle", "-c", 10, "-d", "500ms")["errors"]["total"] == 0


def test_the_example_of_the_manual():
    words = harness.example("peer-soak.1", "mqtt://192.0.2.80/")
    with servers.Mosquitto() as broker:
        report = json.loads(peer(*words, "--json", "-d", "2s", limit=60).expect(0).out)
        count = report["requests"]["completed"]
        assert count == report["requests"]["sent"] > 0 == report["errors"]["total"], report
        broker.until({"messages/received": count})
        assert broker.packets()["Sending PUBLISH"] == count


def test_what_does_not_go_together_is_refused():
    for args, words in (((f"mqtt://{OWN4}/t?qos=2",), "that is 0 or 1"),
                        ((f"mqtt://{OWN4}/a/+",), "is a filter"),
                        ((f"mqtt://:secret@{OWN4}/t",), "has a user"),
                        ((f"mqtt://{OWN4}/t", "--body", "a"), "--body goes with"),
                        ((f"mqtt://{OWN4}/t", "-H", "A: b"), "go with http://")):
        peer("soak", *args).expect(2, err=words)


if __name__ == "__main__":
    harness.main()
