#!/usr/bin/env bash
# Writes the dump of a new version of the schema: the latest dump, restored, brought up to date by
# this redspan, given rows and columns of what is new, and dumped again. A dump is never changed
# afterwards: it is what some ledger looks like.
#
#   tests/dumps/make.sh sqlite   FILE.db            ROWS.sql
#   tests/dumps/make.sh postgres postgres://…/empty ROWS.sql
#
# FILE.db does not exist yet, the PostgreSQL database is empty, ROWS.sql is what is run after the
# migration. Every table must have rows, and every column a value other than its default somewhere.
set -euo pipefail
kind=$1 database=$2 rows=$3
here="$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)"
latest="$(ls "$here/$kind"/*.sql | tail -n 1)"
redspan="${REDSPAN_BIN:-$here/../../target/debug/redspan}"

case "$kind" in
sqlite)
    sqlite3 -bail "$database" <"$latest"
    "$redspan" migrate up --database-url "sqlite://$database"
    sqlite3 -bail "$database" <"$rows"
    text="$(printf 'PRAGMA application_id = %s;\n' "$(sqlite3 "$database" 'PRAGMA application_id')"
        sqlite3 "$database" .dump)"
    number="$(sqlite3 "$database" 'SELECT max(version) FROM _sqlx_migrations')"
    ;;
postgres)
    psql -qb -v ON_ERROR_STOP=1 -o /dev/null -d "$database" -f "$latest"
    "$redspan" migrate up --database-url "$database"
    psql -qb -v ON_ERROR_STOP=1 -d "$database" -c 'SET search_path = redspan' -f "$rows"
    # Nothing in it that only some versions of the server understand.
    text="$(pg_dump --column-inserts --no-owner --no-privileges --no-comments -n redspan "$database" |
        grep -v -e '^--' -e '^SET ' -e '^\\' -e '^$')"
    number="$(psql -qAt -d "$database" -c 'SELECT max(version) FROM redspan._sqlx_migrations')"
    ;;
esac
printf '%s\n' "$text" >"$here/$kind/$(printf '%04d' "$number").sql"
