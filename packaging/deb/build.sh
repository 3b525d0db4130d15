#!/bin/sh
# Makes dist/invar_VERSION_ARCHITECTURE.deb from dist/invar.
set -eu
cd "$(dirname "$0")/../.."
version=$(sed -n 's/^  "version": "\(.*\)",$/\1/p' package.json)
architecture=$(dpkg --print-architecture)
stage=$(mktemp -d)
trap 'rm -rf "$stage"' EXIT
chmod 755 "$stage"

packaging/stage.sh "$stage" default
mkdir "$stage/DEBIAN"
cat > "$stage/DEBIAN/control" <<CONTROL
Package: invar
Version: $version
Architecture: $architecture
Maintainer: The Invar authors <invar@localhost>
Section: admin
Priority: optional
Depends: libc6 (>= 2.28), libstdc++6, libatomic1, passwd
Recommends: ca-certificates
Installed-Size: $(du -sk "$stage" | cut -f1)
Description: telemetry collector that runs Grafana Alloy configurations
 Collects logs, metrics, traces and profiles, works on them and sends them on.
 Reports every drop with a reason; what it has read survives a crash and an
 outage of the backend.
CONTROL
printf '%s\n' /etc/default/invar /etc/invar/config.alloy > "$stage/DEBIAN/conffiles"
{
  cat packaging/create-user.sh
  cat packaging/deb/postinst
} > "$stage/DEBIAN/postinst"
cp packaging/deb/prerm packaging/deb/postrm "$stage/DEBIAN/"
chmod 755 "$stage/DEBIAN/postinst" "$stage/DEBIAN/prerm" "$stage/DEBIAN/postrm"
# xz would halve it again and take a minute of a processor.
dpkg-deb --root-owner-group -Zzstd --build "$stage" "dist/invar_${version}_$architecture.deb" >/dev/null
echo "dist/invar_${version}_$architecture.deb: $(du -h "dist/invar_${version}_$architecture.deb" | cut -f1)"
