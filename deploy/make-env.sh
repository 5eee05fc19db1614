#!/bin/sh
# Write an .env with random passwords, out of .env.example; an existing one is left alone.
#   deploy/make-env.sh [FILE]        default: .env beside docker-compose.yml
set -eu
root=$(cd "$(dirname "$0")/.." && pwd)
target=${1:-$root/.env}

if [ -e "$target" ]; then
    echo "$target exists; remove it first if you want new passwords (the database keeps its old one)" >&2
    exit 1
fi

random() { od -An -N24 -tx1 /dev/urandom | tr -d ' \n'; }

umask 077
sed -e "s/^POSTGRES_PASSWORD=.*/POSTGRES_PASSWORD=$(random)/" \
    -e "s/^REDIS_PASSWORD=.*/REDIS_PASSWORD=$(random)/" "$root/.env.example" >"$target"
echo "wrote $target"
echo "Every request needs a key. Once it runs, make the first one:" >&2
echo "  docker compose exec api nmtune-server keys create NAME --scopes admin" >&2
