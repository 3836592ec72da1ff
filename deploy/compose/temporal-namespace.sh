#!/bin/sh
# Makes the namespace and its search attributes before any worker asks for them: a server needs some seconds until it
# knows what was registered. What is there already stays.
set -eu

# soon COMMAND...: it succeeds within some minute
soon() {
    tries=60
    until "$@"; do
        tries=$((tries - 1))
        [ "$tries" -gt 0 ] || exit 1
        sleep 1
    done
}

temporal operator namespace describe --namespace "$TEMPORAL_NAMESPACE" > /dev/null 2>&1 ||
    soon temporal operator namespace create --namespace "$TEMPORAL_NAMESPACE" --retention 90d
# One at a time: of several names the command registers the first alone, and says that it has registered them.
for name in EtcdCluster EtcdMember HandoffState; do
    soon temporal operator search-attribute create --namespace "$TEMPORAL_NAMESPACE" --name "$name" --type Keyword
done
# Such a query is refused as long as the server does not know the names.
soon temporal workflow count --namespace "$TEMPORAL_NAMESPACE" \
    --query 'EtcdCluster = "none" AND EtcdMember = "none" AND HandoffState = "none"'
