#!/bin/sh
# Run by both packages after they are unpacked: the user, and the groups that may read logs where they exist.
set -e
getent group invar >/dev/null || groupadd --system invar
getent passwd invar >/dev/null ||
  useradd --system --gid invar --home-dir /var/lib/invar --no-create-home --shell /usr/sbin/nologin invar
for group in adm systemd-journal; do
  if getent group "$group" >/dev/null; then usermod --append --groups "$group" invar; fi
done
# Configurations hold passwords.
chown root:invar /etc/invar
chmod 750 /etc/invar
