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
    printf '#!/bin/sh\nexit 101\n' > /usr/sbin/policy-rc.d
    chmod +x /usr/sbin/policy-rc.d
    # shellcheck disable=SC2086
    DEBIAN_FRONTEND=noninteractive apt-get install -qq -y --no-install-recommends $missing
    rm /usr/sbin/policy-rc.d
fi
if ! command -v kustomize > /dev/null && command -v go > /dev/null; then
    GOBIN=/usr/local/bin go install sigs.k8s.io/kustomize/kustomize/v5@v5.7.1
fi
