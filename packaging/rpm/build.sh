#!/bin/sh
# Makes dist/invar-VERSION-1.ARCHITECTURE.rpm from dist/invar. Needs rpmbuild (Debian: the package rpm).
set -eu
cd "$(dirname "$0")/../.."
command -v rpmbuild >/dev/null || { echo "there is no rpmbuild (Debian: apt-get install rpm)" >&2; exit 1; }
version=$(sed -n 's/^  "version": "\(.*\)",$/\1/p' package.json)
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

packaging/stage.sh "$work/stage" sysconfig
rpmbuild -bb --quiet \
  --define "_topdir $work" --define "_rpmdir $work/rpms" --define "_binary_payload w3.zstdio" \
  --define "stage $work/stage" --define "scripts $PWD/packaging" --define "invar_version $version" \
  packaging/rpm/invar.spec
cp "$work"/rpms/*/*.rpm dist/
du -h dist/invar-"$version"-1.*.rpm
