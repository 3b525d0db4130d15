#!/bin/sh
# Lays out what a package installs below the folder $1: dist/invar and what belongs to it. $2 is the folder below /etc
# for the settings of services: default (Debian) or sysconfig (Fedora and its relatives).
set -eu
cd "$(dirname "$0")/.."
stage=$1
settings=$2
[ -x dist/invar ] || { echo "dist/invar is missing: npm run build" >&2; exit 1; }

install -D -m 755 dist/invar "$stage/usr/bin/invar"
install -D -m 644 packaging/systemd/invar.service "$stage/usr/lib/systemd/system/invar.service"
install -D -m 644 packaging/systemd/invar.default "$stage/etc/$settings/invar"
# The example of a checkout, but for how it is started there.
install -d -m 755 "$stage/etc/invar"
sed '/^\/\/   npm start$/,+1d' examples/this-host.alloy > "$stage/etc/invar/config.alloy"
chmod 644 "$stage/etc/invar/config.alloy"
doc="$stage/usr/share/doc/invar"
install -D -m 644 packaging/README.md "$doc/README.md"
install -D -m 644 packaging/prometheus/invar-alerts.yml "$doc/prometheus/invar-alerts.yml"
install -D -m 644 packaging/prometheus/invar-alerts_test.yml "$doc/prometheus/invar-alerts_test.yml"
install -D -m 644 docs/alerts.md "$doc/prometheus/alerts.md"
install -D -m 644 packaging/grafana/invar.json "$doc/grafana/invar.json"
cat LICENSE dist/THIRD-PARTY-NOTICES > "$doc/copyright"
chmod 644 "$doc/copyright"
