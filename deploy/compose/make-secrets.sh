#!/bin/sh
# Makes what the services of compose.yaml prove themselves with: two authorities, their certificates, and passwords.
# Each folder below $1 is one volume, and goes only to those who need what is in it. What is there already stays, so that
# the containers can be started again; `docker compose down --volumes` throws it away.
set -eu
umask 077
cd "${1:-/secrets}"
OWNER=65532 # in the images of our Dockerfile
CONFIG='[req]
distinguished_name = name
prompt = no
[name]
'

# own MODE FILE...: for the user of our images; only root may give a file away
own() {
    mode=$1
    shift
    chmod "$mode" "$@"
    [ "$(id -u)" != 0 ] || chown "$OWNER" "$@"
}

# authority NAME: certificate and key of an authority, in the folder that nobody mounts
authority() {
    printf '%sCN = %s\n[ext]\nbasicConstraints = critical, CA:TRUE\nkeyUsage = critical, keyCertSign\n%s\n' \
        "$CONFIG" "$1" 'subjectKeyIdentifier = hash' |
        openssl req -x509 -config /dev/stdin -extensions ext -days 3650 -nodes \
            -newkey ec -pkeyopt ec_paramgen_curve:P-256 -keyout "authorities/$1.key" -out "authorities/$1.crt"
}

# issue AUTHORITY FILE SUBJECT NAMES: a certificate for servers and clients, with its key
issue() {
    printf '%s%s\n[ext]\nbasicConstraints = critical, CA:FALSE\nkeyUsage = critical, digitalSignature\n%s\n%s\n' \
        "$CONFIG" "$3" 'extendedKeyUsage = serverAuth, clientAuth' "subjectAltName = $4
authorityKeyIdentifier = keyid" |
        openssl req -x509 -config /dev/stdin -extensions ext -days 365 -nodes \
            -CA "authorities/$1.crt" -CAkey "authorities/$1.key" \
            -newkey ec -pkeyopt ec_paramgen_curve:P-256 -keyout "$2.key" -out "$2.crt"
    own 400 "$2.key" "$2.crt"
}

# trust AUTHORITY FOLDER...: its certificate, for those who check others
trust() {
    name=$1
    shift
    for folder; do
        cp "authorities/$name.crt" "$folder/$name.crt"
        own 444 "$folder/$name.crt"
    done
}

# password FILE: for programs that run as users of their own
password() {
    openssl rand -hex 24 > "$1"
    chmod 444 "$1"
}

[ ! -e authorities/complete ] || exit 0
mkdir -p authorities nodes workers operator database grafana
authority etcd-ca
authority kubernetes-ca
trust etcd-ca nodes workers
trust kubernetes-ca nodes workers operator
for number in 0 1 2; do
    node=node$number apiserver=apiserver$number
    issue etcd-ca "nodes/$node" "CN = $node" "DNS:$node, DNS:localhost, IP:127.0.0.1"
    issue kubernetes-ca "nodes/$apiserver" "CN = $apiserver" "DNS:$apiserver, DNS:localhost, IP:127.0.0.1"
done
issue etcd-ca workers/etcd "CN = etcd-handoff" DNS:etcd-handoff
# Kubernetes takes who shows this for the service account of deploy/rbac.yaml.
issue kubernetes-ca workers/kubernetes "CN = system:serviceaccount:etcd-handoff:etcd-handoff" DNS:etcd-handoff
issue kubernetes-ca operator/kubernetes "O = system:masters
CN = operator" DNS:operator
openssl ecparam -name prime256v1 -genkey -noout -out nodes/service-account.key
own 400 nodes/service-account.key
password database/password
password grafana/password
own 755 nodes workers operator
chmod 755 database grafana
touch authorities/complete
