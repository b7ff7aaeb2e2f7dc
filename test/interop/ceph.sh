#!/usr/bin/env bash
# ceph.sh FOLDER MON-PORT GATEWAY-PORT ACCESS-KEY SECRET-KEY: a Ceph object gateway on this machine alone, of the packages ceph-mon, ceph-osd,
# radosgw and ceph-common. All of it is in FOLDER, on loopback; it prints the process ids when the gateway answers. Needs root, as its daemons do.
set -euo pipefail
d=$1 mon=$2 gateway=$3 access=$4 secret=$5
mkdir -p "$d"/{mon,osd0,log,run,rgw}
fsid=$(cat /proc/sys/kernel/random/uuid)
export CEPH_CONF=$d/ceph.conf
cat >"$CEPH_CONF" <<CONF
[global]
fsid = $fsid
mon host = v2:127.0.0.1:$mon
mon initial members = a
keyring = $d/keyring
auth allow insecure global id reclaim = false
run dir = $d/run
log file = $d/log/\$name.log
admin socket = $d/run/\$name.asok
pid file = $d/run/\$name.pid
osd pool default size = 1
osd pool default min size = 1
osd pool default pg num = 4
osd pool default pgp num = 4
mon allow pool size one = true
mon warn on pool no redundancy = false
mon max pg per osd = 1000
osd crush chooseleaf type = 0
bluestore block size = 8589934592
bluestore fsck on mount = false
osd memory target = 900000000
public addr = 127.0.0.1
debug ms = 0
[mon.a]
mon data = $d/mon
public addr = v2:127.0.0.1:$mon
[osd.0]
osd data = $d/osd0
[client.rgw]
rgw frontends = beast endpoint=127.0.0.1:$gateway
rgw data = $d/rgw
rgw thread pool size = 64
rgw enable ops log = false
rgw dynamic resharding = false
CONF
exec 3>&1 >"$d/log/start" 2>&1 # no daemon may keep fd 3, or its reader waits for ever
ceph-authtool --create-keyring "$d/keyring" --gen-key -n mon. --cap mon 'allow *'
ceph-authtool "$d/keyring" --gen-key -n client.admin --cap mon 'allow *' --cap osd 'allow *' --cap mgr 'allow *'
ceph-authtool "$d/keyring" --gen-key -n client.rgw --cap mon 'allow *' --cap osd 'allow *'
ceph-authtool "$d/keyring" --gen-key -n osd.0 --cap mon 'allow *' --cap osd 'allow *'
monmaptool --create --addv a "[v2:127.0.0.1:$mon]" --fsid "$fsid" "$d/monmap"
ceph-mon --mkfs -i a --monmap "$d/monmap" --keyring "$d/keyring"
ceph-mon -i a --setuser root --setgroup root 3>&-
uuid=$(cat /proc/sys/kernel/random/uuid)
timeout 60 ceph osd new "$uuid"
ceph-osd -i 0 --mkfs --osd-uuid "$uuid"
ceph-osd -i 0 --setuser root --setgroup root 3>&-
timeout 60 ceph osd crush add osd.0 1.0 root=default host=local || true
radosgw -n client.rgw --setuser root --setgroup root 3>&-
for _ in $(seq 240); do curl -s -o /dev/null "http://127.0.0.1:$gateway/" && break; sleep 0.5; done
radosgw-admin -n client.rgw user create --uid=chp --display-name=chp --access-key="$access" --secret-key="$secret"
cat "$d"/run/*.pid >&3
