#!/bin/bash
# Starts a frontend. The argument is the headless Service of all frontends.
#
# A frontend with metadata of its own starts from it. One without joins the others, so that an empty volume never makes a second
# cluster: only the first makes a new one, and only when none of the others has served for a minute.
set -euo pipefail

home=/opt/starrocks/fe
set_name=${POD_NAME%-*}
domain=$1.$POD_NAMESPACE.svc
patience_s=60

# Host names of the other frontends whose pods exist; there are at most seven.
others() {
    local ordinal host
    for ordinal in 0 1 2 3 4 5 6; do
        host=$set_name-$ordinal.$domain
        [[ $set_name-$ordinal == "$POD_NAME" ]] || ! getent hosts "$host" >/dev/null || echo "$host"
    done
}
# The port for queries opens last, and only on a frontend that serves.
serves() { timeout 2 bash -c ": </dev/tcp/$1/9030" 2>/dev/null; }
start() { exec "$home/bin/start_fe.sh" --host_type FQDN --logconsole "$@"; }

[[ ! -e $home/meta/image/ROLE ]] || start
while ((SECONDS < patience_s)); do
    known=$(others)
    for host in $known; do
        ! serves "$host" || start --helper "$host:9010"
    done
    # Alone, the first has nobody to wait for.
    [[ $POD_NAME != "$set_name-0" || -n $known ]] || break
    sleep 2
done
[[ $POD_NAME != "$set_name-0" ]] || start
start --helper "$set_name-0.$domain:9010"
