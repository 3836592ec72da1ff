#!/bin/sh
# What the official image does with the variables that compose.yaml sets: a new cluster has this user with this password.
set -eu
if [ "$(id -u)" = 0 ]; then
    chown postgres "$PGDATA"
    exec setpriv --reuid=postgres --regid=postgres --clear-groups sh "$0"
fi
if [ ! -s "$PGDATA/PG_VERSION" ]; then
    initdb --username="$POSTGRES_USER" --pwfile="$POSTGRES_PASSWORD_FILE" --auth=scram-sha-256
    echo "host all all all scram-sha-256" >> "$PGDATA/pg_hba.conf"
fi
exec postgres -c listen_addresses='*'
