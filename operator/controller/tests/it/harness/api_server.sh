# Runs etcd, kube-apiserver and kube-controller-manager until standard input ends, so that nothing is left behind however
# the test process ends. Arguments: the binary, a folder to write in, and three ports.
set -eu
kubernetes=$1 dir=$2 etcd=$3 peer=$4 port=$5
cd "$dir"
openssl ecparam -genkey -name prime256v1 -noout -out accounts.key 2>/dev/null
openssl ec -in accounts.key -pubout -out accounts.pub 2>/dev/null
"$kubernetes" etcd --name=test --data-dir="$dir/etcd" --unsafe-no-fsync --log-level=warn \
    --listen-client-urls="http://127.0.0.1:$etcd" --advertise-client-urls="http://127.0.0.1:$etcd" \
    --listen-peer-urls="http://127.0.0.1:$peer" --initial-advertise-peer-urls="http://127.0.0.1:$peer" \
    --initial-cluster="test=http://127.0.0.1:$peer" >etcd.log 2>&1 </dev/null &
one=$!
# Owner references are enforced, as OpenShift does it: the operator's rights have to suffice there, too.
"$kubernetes" kube-apiserver --etcd-servers="http://127.0.0.1:$etcd" --bind-address=127.0.0.1 --secure-port="$port" \
    --advertise-address=192.0.2.1 --cert-dir="$dir/certificates" --service-cluster-ip-range=10.96.0.0/16 --allow-privileged \
    --audit-policy-file="$dir/audit.yaml" --audit-log-path="$dir/audit.log" --audit-log-mode=blocking \
    --token-auth-file="$dir/tokens.csv" --authorization-mode=RBAC --disable-admission-plugins=ServiceAccount \
    --enable-admission-plugins=OwnerReferencesPermissionEnforcement \
    --service-account-issuer=https://kubernetes.default.svc --service-account-key-file=accounts.pub \
    --service-account-signing-key-file=accounts.key --max-requests-inflight=800 >apiserver.log 2>&1 </dev/null &
two=$!
# Of the controllers only those whose work we rely on: pods of StatefulSets, and the removal of what an owner left behind. They give
# up when the server is not ready within ten seconds, which on a busy machine it is not, so they start after it.
(
    until "$(dirname "$kubernetes")/kubectl" --kubeconfig="$dir/kubeconfig" --request-timeout=5s get --raw /readyz; do sleep 0.3; done
    exec "$kubernetes" kube-controller-manager --kubeconfig="$dir/kubeconfig" --bind-address=127.0.0.1 --secure-port=0 --leader-elect=false \
        --controllers=statefulset-controller,garbage-collector-controller,namespace-controller,resourcequota-controller \
        --kube-api-qps=500 --kube-api-burst=1000
) >controllers.log 2>&1 </dev/null &
three=$!
end() {
    kill "$three" "$two" "$one" 2>/dev/null || true
    for _ in 1 2 3 4 5 6 7 8 9 10; do
        kill -0 "$one" 2>/dev/null || kill -0 "$two" 2>/dev/null || kill -0 "$three" 2>/dev/null || break
        sleep 0.2
    done
    kill -9 "$three" "$two" "$one" 2>/dev/null || true
    rm -rf "$dir"
}
trap 'end; exit 1' TERM INT HUP
# In the background, so that a signal is heard while standard input is open.
exec 3<&0
cat <&3 >/dev/null &
wait $! || true
end
