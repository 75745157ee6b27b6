# SPDX-License-Identifier: BSD-3-Clause
"""peer merge, and the shards whose results it adds: each peer once, counts to the unit, percentiles of all."""
import json
import os
import time

import harness
from harness import OWN4, Peer, peer, Server

ENGINES = (  # what it sets for rank I of N, and what peer has to be told beside that
    ({"SLURM_PROCID": "I", "SLURM_NTASKS": "N", "SLURM_STEP_ID": "0"}, []),
    ({"OMPI_COMM_WORLD_RANK": "I", "OMPI_COMM_WORLD_SIZE": "N"}, []),
    ({"PMI_RANK": "I", "PMI_SIZE": "N"}, []),
    ({"JOB_COMPLETION_INDEX": "I"}, ["--shards", "N"]),
    ({"PARALLEL_SEQ": "I+1"}, ["--shards", "N"]),
    ({"SLURM_ARRAY_TASK_ID": "I+7", "SLURM_ARRAY_TASK_MIN": "7"}, ["--shards", "N"]),
    ({}, ["--shard", "I/N"]),
)


def fill(word, rank, size):
    """I is the rank, I+7 it plus 7, N how many there are."""
    for name, value in (("I+7", rank + 7), ("I+1", rank + 1), ("I", rank), ("N", size)):
        word = word.replace(name, str(value))
    return word


def run_shard(rank, size, *args, engine=ENGINES[-1]):
    variables, options = engine
    told = [word if word.startswith("--") else fill(word, rank, size) for word in options]
    return Peer("soak", "--from", "198.18.0.0/26", *told, *args,
                env={name: fill(value, rank, size) for name, value in variables.items()})


def merge(*args, status=0):
    result = peer("merge", "--json", *args)
    result.expect(status)
    return json.loads(result.out)


def test_shards_of_every_engine():
    """Four of a run, begun at one moment; together they do what one was asked for."""
    os.chdir(harness.directory)
    for engine in ENGINES:
        at = time.time() + 1
        runs = [run_shard(rank, 4, "-c", "10", "-n", "402", "--start-at", f"@{at:.3f}", "--result", "{}.res",
                          "--json", engine=engine) for rank in range(4)]
        for run in runs:
            run.wait().expect(0)
        report = merge(*(f"{rank}.res" for rank in range(4)), "--slo", "completed>=402")
        assert report["requests"]["completed"] == 402 and report["connections"]["opened"] == 10, (engine, report)
        assert report["peers"] == 62 and [part["shard"]["rank"] for part in report["parts"]] == [0, 1, 2, 3], report
        assert len({part["from"] for part in report["parts"]}) == 4, report
        assert sum(entry["requests"]["completed"] for entry in report["intervals"]) == 402, report
        assert not any(part["started_ns"] < at * 1e9 - 1e6 for part in report["parts"]), (at, report)


def test_each_peer_calls_once_from_one_shard():
    server = Server(lambda connection, _: harness.receive_all(connection), callers=62)
    runs = [run_shard(rank, 3, f"tcp://{OWN4}:{server.port}", "--idle", "-c", "62", "-d", "300ms")
            for rank in range(3)]
    for run in runs:
        run.wait().expect(0)
    server.join()
    callers = sorted(address[0] for address in server.callers)
    assert callers == sorted(f"198.18.0.{i}" for i in range(1, 63)), callers


def test_what_is_merged_is_all_or_said():
    os.chdir(harness.directory)
    for rank in range(3):
        run_shard(rank, 3, "-c", "3", "-n", "30", "--result", "{}.res").wait().expect(0)
    run_shard(0, 2, "-c", "3", "-n", "30", "--result", "other.res").wait().expect(0)
    peer("soak", "-n", "10", "--result", "alone.res").expect(0)

    result = peer("merge", "0.res", "2.res")
    result.expect(1, err="peer: shard 1 of 3 is missing")
    assert b"20 requests, 2 connections" in result.out, result.out
    peer("merge", "0.res", "1.res", "0.res").expect(2, err='peer: "0.res": shard 0 of 3 is there twice')
    peer("merge", "0.res", "other.res").expect(2, err="that has 3 shards, and this is shard 0 of 2")
    with open("0.res", "rb") as file:
        whole = file.read()
    with open("cut.res", "wb") as file:
        file.write(whole[:len(whole) // 2])
    peer("merge", "cut.res").expect(2, err='peer: cannot read "cut.res": it is cut off')
    peer("merge", "/proc/self/status").expect(2, err="it is no result of peer")
    peer("merge", "nothing.res").expect(2, err='peer: cannot read "nothing.res": No such file')
    peer("merge").expect(2, err="which results?")

    # The sum is a result as well, and one alone is too.
    peer("merge", "0.res", "2.res", "--result", "sum.res").expect(1)
    assert merge("sum.res", "1.res")["requests"]["completed"] == 30
    assert merge("alone.res")["requests"]["completed"] == 10


def test_shards_that_cannot_be():
    for args, words in ((["--shard", "4/4"], "there is no shard 4 of 4"), (["--shard", "1"], "none of RANK/SIZE"),
                        (["--shard", "-1/4"], "none of RANK/SIZE"), (["--shards", "3"], "which of them is this?"),
                        (["--shard", "1/4", "--shards", "3"], "--shards says 3"),
                        (["--start-at", "25:00"], "is no time"),
                        (["--shard", "0/100", "--from", "198.18.0.0/26", "-c", "100"],
                         "62 addresses of peers cannot be shared by 100 shards"),
                        (["--shard", "0/3"], "1 flow cannot be shared by 3 shards"),
                        (["--shard", "0/3", "-c", "2"], "2 flows cannot be shared by 3 shards"),
                        ([f"tcp://{OWN4}:7", "--shard", "0/3", "-c", "3"], "none were given")):
        peer("soak", *args).expect(2, err=words)
    peer("soak", "-n", "10", "--shard", "none", env={"PMI_RANK": "1", "PMI_SIZE": "4"}).expect(0)
    peer("soak", "-n", "10", env={"PMI_RANK": "4", "PMI_SIZE": "4"}).expect(
        2, err="PMI_RANK: there is no shard 4 of 4")


if __name__ == "__main__":
    harness.main()
