#!/bin/sh
# Installs what the tests use beside Node, from Debian's packages: real peers, a browser, and tools.
set -eu
packages="prometheus prometheus-node-exporter victoria-metrics chromium logrotate rsyslog systemd-journal-remote openssl python3 graphviz binutils ca-certificates default-jre-headless maven redis-server mariadb-server postgresql dnsmasq-base prometheus-postgres-exporter prometheus-mysqld-exporter prometheus-redis-exporter prometheus-process-exporter containerd runc prometheus-blackbox-exporter chrony runit supervisor"
missing=""
for package in $packages; do
  dpkg-query -W -f='${Status}' "$package" 2>/dev/null | grep -q "ok installed" || missing="$missing $package"
done
if [ -n "$missing" ]; then
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
fi

# Apache Kafka, which Debian does not have: its jars, for a broker that tests start. npm ci takes them away again.
kafka_version="4.1.0"
kafka="node_modules/.cache/kafka/$kafka_version"
[ ! -e "$kafka/kafka_2.13-$kafka_version.jar" ] || exit 0
pom="$(mktemp -d)"
cat >"$pom/pom.xml" <<END
<project>
  <modelVersion>4.0.0</modelVersion>
  <groupId>invar</groupId>
  <artifactId>test-broker</artifactId>
  <version>1</version>
  <dependencies>
    <dependency>
      <groupId>org.apache.kafka</groupId>
      <artifactId>kafka_2.13</artifactId>
      <version>$kafka_version</version>
    </dependency>
    <dependency>
      <groupId>org.apache.logging.log4j</groupId>
      <artifactId>log4j-slf4j-impl</artifactId>
      <version>2.24.3</version>
    </dependency>
  </dependencies>
</project>
END
# First beside its place, so that a fetch that is cut short leaves nothing that looks whole.
mvn -B -q -f "$pom/pom.xml" dependency:copy-dependencies -DincludeScope=runtime -DoutputDirectory="$pom/jars"
mkdir -p "$(dirname "$kafka")"
rm -rf "$kafka"
mv "$pom/jars" "$kafka"
rm -r "$pom"
