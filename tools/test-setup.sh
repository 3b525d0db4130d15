#!/bin/sh
# Installs what the tests use beside Node, from Debian's packages: real peers, a browser, and tools.
set -eu
packages="prometheus prometheus-node-exporter victoria-metrics chromium logrotate rsyslog systemd-journal-remote openssl python3 graphviz binutils ca-certificates"
missing=""
for package in $packages; do
  dpkg-query -W -f='${Status}' "$package" 2>/dev/null | grep -q "ok installed" || missing="$missing $package"
done
[ -n "$missing" ] || exit 0
run=""
[ "$(id -u)" = 0 ] || run="sudo"
# The services that the packages would start are not wanted: tests start their own, on ports of their own.
export DEBIAN_FRONTEND=noninteractive
$run apt-get update -qq
if [ ! -e /usr/sbin/policy-rc.d ]; then
  printf '#!/bin/sh\nexit 101\n' | $run tee /usr/sbin/policy-rc.d >/dev/null
  $run chmod 755 /usr/sbin/policy-rc.d
  trap '$run rm -f /usr/sbin/policy-rc.d' EXIT
fi
# shellcheck disable=SC2086
$run apt-get install -y -qq --no-install-recommends $missing >/dev/null
