#!/bin/bash
# Starts a frontend. The argument is the headless Service of all frontends.
#
# A frontend with metadata of its own starts from it. The first one without any makes a new cluster; every other one asks the
# first for the cluster, so an empty volume never makes a second cluster.
set -euo pipefail

home=/opt/starrocks/fe
service=$1
first="${POD_NAME%-*}-0.${service}.${POD_NAMESPACE}.svc"

if [[ -e $home/meta/image/ROLE || $POD_NAME == *-0 ]]; then
    exec "$home/bin/start_fe.sh" --host_type FQDN --logconsole
fi
exec "$home/bin/start_fe.sh" --host_type FQDN --logconsole --helper "$first:9010"
