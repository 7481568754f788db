#!/bin/sh
# The lock pins every package to one version and its hashes, and names no index host.
set -eu
if grep -nE '://|^[[:space:]]*-(-(index|extra-index|find-links)|[eif] )' requirements.lock; then
    echo "requirements.lock names a host or a folder: make it with 'make lock'" >&2
    exit 1
fi
# A requirement starts in the first column; its hashes follow, indented.
awk 'function done() { if (name != "" && !hashed) { print name ": has no sha256"; bad = 1 } }
     /^[^ #]/ { done(); name = $1; hashed = 0; any = 1 }
     /^[^ #]/ && !/^[A-Za-z0-9][A-Za-z0-9._-]*(\[[A-Za-z0-9,._-]+\])?==[A-Za-z0-9][A-Za-z0-9.+!_-]*( ;.*)?( \\)?$/ {
         print $0 ": is not pinned to one version"; bad = 1 }
     /^ +--hash=sha256:[0-9a-f]+/ { if (length($1) == 78) hashed = 1 }
     END { done(); if (!any) { print "it is empty"; bad = 1 } exit bad }' requirements.lock ||
    { echo "requirements.lock does not pin and hash every package: run 'make lock'" >&2; exit 1; }
