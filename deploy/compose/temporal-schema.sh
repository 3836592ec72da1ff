#!/bin/sh
# Brings the databases of Temporal's server to the version of this image. What is up to date stays as it is.
set -eu
SQL_PASSWORD=$(cat /secrets/password)
export SQL_PASSWORD

# update DATABASE SCHEMA: the database has the schema that this image brings
update() {
    temporal-sql-tool --database "$1" create-database
    temporal-sql-tool --database "$1" setup-schema --version 0.0
    temporal-sql-tool --database "$1" update-schema --schema-name "postgresql/v12/$2"
}

update temporal temporal
update temporal_visibility visibility
