#!/bin/bash
# Runs once, in an empty Postgres volume: a database and an owner for each component that brings its own tables.
set -euo pipefail

create_database() {
  psql --set=ON_ERROR_STOP=1 --username="$POSTGRES_USER" --dbname="$POSTGRES_DB" --set=name="$1" --set=password="$2" <<'SQL'
CREATE ROLE :"name" LOGIN PASSWORD :'password';
CREATE DATABASE :"name" OWNER :"name";
REVOKE CONNECT ON DATABASE :"name" FROM PUBLIC;
SQL
}

create_database registry "$REGISTRY_POSTGRES_PASSWORD"
create_database mlflow "$MLFLOW_POSTGRES_PASSWORD"
create_database prefect "$PREFECT_POSTGRES_PASSWORD"
create_database metabase "$METABASE_POSTGRES_PASSWORD"
