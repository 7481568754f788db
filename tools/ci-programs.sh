#!/bin/sh
# Installs the programs of tests/programs.py on a Debian machine that lacks them; needs root.
set -eu
missing=""
command -v chromium > /dev/null || missing="$missing chromium"
command -v promtool > /dev/null || missing="$missing prometheus"
command -v javac > /dev/null || missing="$missing default-jdk-headless"
command -v npm > /dev/null || missing="$missing nodejs npm"
if [ -n "$missing" ]; then
    apt-get update -qq
    # Prometheus as a package starts a service; the tests start their own.
    policy=/usr/sbin/policy-rc.d
    if [ ! -e "$policy" ]; then
        trap 'rm -f "$policy"' EXIT
        printf '#!/bin/sh\nexit 101\n' > "$policy"
        chmod +x "$policy"
    fi
    # shellcheck disable=SC2086
    DEBIAN_FRONTEND=noninteractive apt-get install -qq -y --no-install-recommends $missing
fi
if ! command -v kustomize > /dev/null && command -v go > /dev/null; then
    GOBIN=/usr/local/bin go install sigs.k8s.io/kustomize/kustomize/v5@v5.7.1
fi
