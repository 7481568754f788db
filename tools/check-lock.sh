#!/bin/sh
# The lock pins every package by hash and names no index host.
set -eu
if grep -nE '://|--(index|extra-index|find-links)' requirements.lock; then
    echo "requirements.lock names a host: make it with 'make lock'" >&2
    exit 1
fi
awk '/^[a-z0-9].*==/ { if (name != "" && !hashed) { print name; bad = 1 } name = $1; hashed = 0 }
     /--hash=sha256:/ { hashed = 1 }
     END { if (!hashed) { print name; bad = 1 } exit bad }' requirements.lock ||
    { echo "requirements.lock has packages without a hash" >&2; exit 1; }
