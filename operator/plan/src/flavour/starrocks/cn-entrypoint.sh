#!/bin/bash
# Starts a compute node and does not register it: the operator does, so this pod needs no SQL account.
#
# SIGTERM becomes a graceful stop: the node takes no new work, tells the frontend so with its next heartbeat, and ends when
# what runs on it is done.
set -uo pipefail

home=/opt/starrocks/cn
trap '"$home/bin/stop_cn.sh" -g' TERM

"$home/bin/start_cn.sh" --logconsole &
process=$!
# `wait` returns when a signal arrives, so it is called until the process is gone; then its status is the process's.
status=0
while kill -0 "$process" 2>/dev/null; do
    wait "$process"
    status=$?
done
exit "$status"
