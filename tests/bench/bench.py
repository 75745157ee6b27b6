#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-3-Clause
"""Ratios of peer to what a user would pick instead, measured side by side. tools/bench calls it.

All runs are in namespaces of this script's own (sandbox.py); measures.py has the measures and
report.py the forms of the result. Exit status: 0 measured, 1 with --check and a measure below what
must be reached, 2 wrong usage, 3 this machine cannot do it.
"""
import argparse
import shutil
import sys

import doors  # pylint: disable=unused-import  # registers its measures
import impaired  # pylint: disable=unused-import  # registers its measure
import measures
import report
import sandbox
import services  # pylint: disable=unused-import  # registers its measures


SLOW = {"impaired"}  # what --quick leaves out unless it is named


def parse_arguments():
    parser = argparse.ArgumentParser(prog="tools/bench", description=__doc__.split("\n\n")[0],
                                     formatter_class=argparse.ArgumentDefaultsHelpFormatter)
    parser.add_argument("--peer", required=True, help="the program to measure")
    parser.add_argument("--bulk", required=True, help="peer_bench_bulk")
    parser.add_argument("--quick", action="store_true", help="about two minutes in all, without impaired")
    parser.add_argument("--rounds", type=int, default=5, help="turns of each side")
    parser.add_argument("--time", type=float, default=5, help="seconds of a turn")
    parser.add_argument("--only", action="append", metavar="NAME", default=[],
                        help=f"one of {', '.join(measures.MEASURES)}; may be repeated")
    parser.add_argument("--million", action="store_true", help="a million connections, alone")
    parser.add_argument("--peer-alone", action="store_true",
                        help="without the other side: for profiles")
    parser.add_argument("--check", action="store_true", help="exit status 1 below what must be")
    form = parser.add_mutually_exclusive_group()
    form.add_argument("--json", action="store_true", help="one JSON document")
    form.add_argument("--markdown", action="store_true", help="the table of tests/bench/README.md")
    options = parser.parse_args()
    for name in options.only:
        if name not in measures.MEASURES:
            parser.error(f"--only: \"{name}\" is none of {', '.join(measures.MEASURES)}")
    if options.quick:
        options.rounds, options.time = 2, 1
    if options.rounds < 1 or options.time < 1:
        parser.error("--rounds and --time are at least 1")
    return options


def say(text):
    print(f"peer: {text}", file=sys.stderr, flush=True)


def check_programs(options):
    for program in (options.peer, options.bulk, "ip", "nginx", "wrk", "openssl", "h2load", "unbound", "dnsperf",
                    "dig"):
        if not shutil.which(program):
            raise sandbox.CannotRun(f"\"{program}\" is not there; tools/bench installs and builds")


def measure_all(options):
    names = [name for name in measures.MEASURES if not options.quick or name not in SLOW]
    functions = [measures.MEASURES[name] for name in options.only or names]
    if options.million:
        functions = [measures.million]
    rows = []
    with sandbox.Space() as space:
        bench = measures.Bench(options.peer, options.bulk, space, options.rounds, options.time, say,
                               not options.quick, options.peer_alone)
        for function in functions:
            rows += function(bench)
    return rows


def run(options):
    check_programs(options)
    about = report.machine()
    rows = measure_all(options)
    forms = {options.json: report.print_json, options.markdown: report.print_markdown}
    forms.get(True, report.print_text)(rows, about, sys.stdout)
    return 1 if options.check and any(row.verdict() == "BELOW" for row in rows) else 0


if __name__ == "__main__":
    arguments = parse_arguments()
    sys.exit(sandbox.run(lambda: run(arguments)))
