#!/bin/sh
# Makes examples/movielens/bundle again; see README.md. Usage: train.sh [path of stream-app]
set -eu
here=$(CDPATH= cd -- "$(dirname -- "$0")" && pwd)
stream_app=${1:-stream-app}
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT
"$stream_app" text-encoder export --out "$scratch/text-encoder"
"$stream_app" train \
    --movielens "$here/ml-latest-small" --train-fraction 0.8 \
    --texts "$here/ml-latest-small/movies.csv" --text-encoder "$scratch/text-encoder" \
    --out "$here/bundle" --replace \
    --name movielens-small --version 0.1.0 --created 2026-11-25T00:00:00+00:00 \
    --temperature 0.15 --seed 0 --threads 1
