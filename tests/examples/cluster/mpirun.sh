#!/bin/sh
# SPDX-License-Identifier: BSD-3-Clause
# mpirun.sh OPTIONS-OF-MPIRUN... -- ARGUMENTS-OF-PEER-SOAK...: a shard a rank.
set -eu

options=
while [ $# -gt 0 ] && [ "$1" != -- ]; do
    options="$options $1"
    shift
done
[ $# -eq 0 ] || shift
results=$(mktemp -d peer.XXXXXX)
# Options have no blanks in them.
# shellcheck disable=SC2086
mpirun $options sh -c 'results=$1; shift; exec peer soak "$@" --result "$results/{}.res" >/dev/null' sh "$results" \
    "$@" --start-at "@$(($(date +%s) + 3))"
peer merge "$results"/*.res
