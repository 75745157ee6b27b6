#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-3-Clause
"""What more workers are worth: peer soak --workers N beside one process, in turns, in namespaces of its own.

    workers.py --peer build/release/peer [--workers 2] [--rounds 5] [--time 2]

Of each case the ratio of the medians of what was done a second, and of what was done for a second of
processor time: that one holds on a busy machine too. nginx is one process, which two of ours must not make
slower; a datagram that nobody reads and a SYN to a closed port cost the application nothing.
"""
import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile

NGINX = """daemon off; worker_processes 1; pid {0}/pid; error_log {0}/errors; {1}
events {{ worker_connections 20000; }}
http {{ access_log off; client_body_temp_path {0}/a; proxy_temp_path {0}/b; fastcgi_temp_path {0}/c;
uwsgi_temp_path {0}/d; scgi_temp_path {0}/e;
server {{ listen 80 backlog=4096; keepalive_requests 1000000000; location / {{ return 200 "hello"; }} }} }}
"""
SINK = """import signal, socket
s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
s.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1)
s.bind(("", 9))
signal.pause()
"""


# All that this process may use but the last.
OTHERS = ",".join(map(str, sorted(os.sched_getaffinity(0))[:-1] or [0]))


def cases(place, seconds):
    """Name -> words of the command, and what counts in its report."""
    nginx = ["nginx", "-e", f"{place}/errors", "-c", f"{place}/nginx.conf"]
    requests = lambda report: report["requests"]["completed"]
    return {
        "nginx, kept connections": (["http://192.0.2.80/", "-c", "64", "-d", str(seconds), "--isolate", "--", *nginx],
                                    requests),
        "kept, one CPU left to nginx": (["http://192.0.2.80/", "-c", "64", "-d", str(seconds), "--isolate", "--",
                                         *nginx], requests, "--cpus", OTHERS),
        "nginx, new connections": (["http://192.0.2.80/", "-c", "64", "-d", str(seconds), "--no-keep-alive",
                                    "--isolate", "--", *nginx], requests),
        "datagrams to nobody": (["udp://192.0.2.80:9", "--workload", "send", "-R", "20000k", "--size", "1000", "-c",
                                 "64", "-d", str(seconds), "--isolate", "--", "python3", f"{place}/sink.py"],
                                lambda report: report["requests"]["sent"]),
        "SYNs to a closed port": (["tcp://192.0.2.80:9", "-c", "4", "-d", str(seconds), "--manner",
                                   "syn-flood:200000/s", "--manner", "syn-flood:199999/s", "--manner",
                                   "syn-flood:199998/s", "--manner", "syn-flood:199997/s", "--isolate"],
                                  lambda report: sum(m["connections"]["opened"] for m in report["manners"])),
    }


def measure(peer, workers, words, count):
    """Done a second, done a second of processor time, frames that were passed on."""
    at = words.index("--") if "--" in words else len(words)
    command = [peer, "soak", "--json", "--tolerate", "--from", "198.18.0.0/16", "--workers", str(workers),
               *words[:at], *words[at:]]
    done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, check=False)
    if not done.stdout:
        sys.exit(f"{' '.join(command)}: {done.stderr}")
    report = json.loads(done.stdout)
    cpu = report["cpu_s"]["user"] + report["cpu_s"]["sys"] - report["cpu_s"]["spin"]
    return (count(report) / report["duration_s"], count(report) / max(cpu, 1e-3),
            report.get("workers", {}).get("frames_passed", 0))


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n", maxsplit=1)[0])
    parser.add_argument("--peer", required=True)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--time", type=float, default=2)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as place:
        with open(f"{place}/nginx.conf", "w", encoding="ascii") as file:
            file.write(NGINX.format(place, "user root;" if os.geteuid() == 0 else ""))
        with open(f"{place}/sink.py", "w", encoding="ascii") as file:
            file.write(SINK)
        for name, (words, count, *more_words) in cases(place, options.time).items():
            runs = {1: [], options.workers: []}
            for _ in range(options.rounds):
                for workers, found in runs.items():
                    extra = more_words if workers > 1 else []
                    found.append(measure(options.peer, workers, [*extra, *words], count))
            one, more = ([statistics.median(column) for column in zip(*runs[n])] for n in (1, options.workers))
            print(f"{name:28} {one[0]:10.0f}/s one, {more[0]:10.0f}/s {options.workers} workers: ratio "
                  f"{more[0] / one[0]:.2f}, for the same processor time {more[1] / one[1]:.2f}; "
                  f"{max(run[2] for run in runs[options.workers])} passed on", flush=True)


if __name__ == "__main__":
    main()
