#!/bin/sh
# Makes examples/movielens/bundle again; see README.md. Usage: train.sh [path of stream-app]
set -eu
here=$(CDPATH= cd -- "$(dirname -- "$0")" && pwd)
exec "${1:-stream-app}" train \
    --movielens "$here/ml-latest-small" --train-fraction 0.8 \
    --out "$here/bundle" --replace \
    --name movielens-small --version 0.1.0 --created 2026-11-25T00:00:00+00:00 \
    --seed 0 --threads 1
