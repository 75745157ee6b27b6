#!/bin/sh
# SPDX-License-Identifier: BSD-3-Clause
# parallel.sh HOST,HOST... -- ARGUMENTS-OF-PEER-SOAK...: a shard on each host, by GNU parallel over ssh; ":"
# is this machine. Arguments are words of a shell.
set -eu

hosts=$1
shift
[ "$1" != -- ] || shift
count=$(printf '%s\n' "$hosts" | tr , '\n' | grep -c .)
results=$(mktemp -d peer.XXXXXX)
# Each host has one job, and sends back what it found.
seq "$count" | parallel --jobs 1 --sshlogin "$hosts" --return "$results/{#}.res" --cleanup --line-buffer \
    "mkdir -p $results; peer soak $* --shard \$((PARALLEL_SEQ - 1))/$count --start-at @$(($(date +%s) + 5))" \
    "--result $results/{#}.res >/dev/null"
peer merge "$results"/*.res
