# SPDX-License-Identifier: BSD-3-Clause
"""Rows as text, as Markdown for README.md, and as JSON."""
import json
import os
import platform
import subprocess

from sandbox import read_file


def version_of(*words):
    try:
        done = subprocess.run(words, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
                              check=False)
    except OSError:
        return "not there"
    return done.stdout.strip().splitlines()[0] if done.stdout.strip() else "unknown"


def machine():
    """What the figures were measured on: no name of it, only its kind."""
    models = [line.split(":", 1)[1].strip() for line in read_file("/proc/cpuinfo").splitlines()
              if line.startswith("model name")]
    memory_kib = int(read_file("/proc/meminfo").split()[1])
    return {"processors": len(os.sched_getaffinity(0)), "model": models[0] if models else "unknown",
            "memory_gib": round(memory_kib / 1048576, 1), "kernel": platform.release(),
            "nginx": version_of("nginx", "-v").removeprefix("nginx version: nginx/"),
            "wrk": version_of("wrk", "-v").split()[1],
            "load_before": os.getloadavg()[0]}


def figure(value):
    if abs(value) >= 1000:
        return f"{value:,.0f}".replace(",", " ")
    return f"{value:.3g}" if abs(value) < 100 else f"{value:.1f}"


def limit(row, value):
    return ("≥ " if row.higher else "≤ ") + figure(value)


def sides_text(row):
    return " : ".join(f"{label} {figure(value)}"
                      for label, value in zip(row.sides, row.medians()))


def cpu_text(row):
    def mean(samples, name):
        return sum(getattr(sample, name) for sample in samples) / len(samples)
    return "  ".join(f"{label} {mean(samples, 'client_cpu_s'):.2f}+"
                     f"{mean(samples, 'server_cpu_s'):.2f}" for label, samples in row.sides.items())


# ---- text ----

def print_row(row, out):
    low, high = row.spread()
    count = len(next(iter(row.sides.values())))
    rounds = f"  rounds {figure(low)} .. {figure(high)}" if count > 1 else ""
    print(f"{row.title}\n  {figure(row.value())}{'' if row.ratio else ' ' + row.unit}"
          f"  ({limit(row, row.least)}, aim {figure(row.aim)}): {row.verdict()}{rounds}"
          f"{disturbed_text(row)}", file=out)
    for label, samples in row.sides.items():
        for sample in samples:
            print(f"    {label:>7} {figure(sample.value):>10} {row.unit:<11} CPU s: client "
                  f"{sample.client_cpu_s:6.2f}  server {sample.server_cpu_s:6.2f}  elsewhere "
                  f"{sample.elsewhere_cpu_s:6.2f}{details(sample)}", file=out)


def details(sample):
    shown = [f"{name} {figure(value)}" for name, value in sample.more.items()
             if value and name not in ("per_s", "p50_us")]
    return "  " + ", ".join(shown) if shown else ""


def disturbed_text(row):
    text = f"; left out, others were busy: {len(row.disturbed)}" if row.disturbed else ""
    kept = sum(sample.is_disturbed() for samples in row.sides.values() for sample in samples)
    return text + (f"; others were busy in {kept} of these runs" if kept else "")


def print_text(rows, about, out):
    print(f"{about['processors']} processors ({about['model']}), {about['memory_gib']} GiB, "
          f"Linux {about['kernel']}, nginx {about['nginx']}, wrk {about['wrk']}, load before "
          f"{about['load_before']:.2f}", file=out)
    for row in rows:
        print_row(row, out)


# ---- Markdown ----

def print_markdown(rows, about, out):
    print(f"Measured on {about['processors']} processors ({about['model']}), {about['memory_gib']} "
          f"GiB of memory, Linux {about['kernel']}, nginx {about['nginx']}, wrk {about['wrk']}. "
          f"Load before: {about['load_before']:.2f}.\n", file=out)
    print("| measure | ratio or value | at least | aim | medians | rounds | CPU s, client+server |",
          file=out)
    print("|---|---|---|---|---|---|---|", file=out)
    for row in rows:
        low, high = row.spread()
        unit = "" if row.ratio else f" {row.unit}"
        print(f"| {row.title} | **{figure(row.value())}**{unit} ({row.verdict()}) | "
              f"{limit(row, row.least)} | {figure(row.aim)} | {sides_text(row)} {row.unit} | "
              f"{figure(low)} .. {figure(high)}{disturbed_text(row)} | {cpu_text(row)} |", file=out)


# ---- JSON ----

def as_json(rows, about):
    return {"machine": about, "measures": [
        {"name": row.name, "title": row.title, "unit": row.unit, "value": row.value(),
         "ratio": row.ratio, "better": "higher" if row.higher else "lower", "least": row.least,
         "aim": row.aim, "verdict": row.verdict(), "spread": row.spread(),
         "sides": {label: [vars(sample) for sample in samples]
                   for label, samples in row.sides.items()},
         "disturbed": [{label: vars(sample) for label, sample in taken.items()}
                       for taken in row.disturbed]} for row in rows]}


def print_json(rows, about, out):
    json.dump(as_json(rows, about), out, indent=2)
    print(file=out)
