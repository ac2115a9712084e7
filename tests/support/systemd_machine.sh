#!/bin/bash
# systemd_machine.sh FOLDER ROOT: run systemd as process 1 over a copy-on-write view of this machine. Its users, packages and
# files are this machine's; what it changes is gone with it. The network is this machine's.
set -eu
folder=$1 root=$2
cgroup=$(awk '$3 == "cgroup2" {print $2; exit}' /proc/mounts)/$(basename "$folder")
mkdir -p "$folder" "$cgroup"
echo $$ >"$cgroup/cgroup.procs"
exec unshare --mount --pid --uts --ipc --cgroup --fork --kill-child bash -eu -c '
folder=$1 root=$2
mount --make-rprivate /
mount -t tmpfs -o mode=755 tmpfs "$folder"
mkdir "$folder/changes" "$folder/work" "$folder/root"
mount -t overlay overlay -o "lowerdir=/,upperdir=$folder/changes,workdir=$folder/work" "$folder/root"
cd "$folder/root"
mount -t proc proc proc
mount -t sysfs -o ro sysfs sys
mount -t cgroup2 cgroup2 sys/fs/cgroup
mount -t tmpfs -o mode=755 tmpfs run
mount -t tmpfs -o mode=1777 tmpfs tmp
mount -t tmpfs -o mode=755 tmpfs dev
mkdir -p dev/pts dev/shm "./$root" var/lib/docker
mount --bind "$root" "./$root"
mount -t tmpfs tmpfs var/lib/docker
for device in null zero full random urandom tty; do touch dev/$device; mount --bind /dev/$device dev/$device; done
mount -t devpts -o newinstance,ptmxmode=0666 devpts dev/pts
ln -s pts/ptmx dev/ptmx
rm -f etc/machine-id
touch etc/machine-id dev/console
# No service of this machine starts, and nothing that would change its kernel.
rm -rf etc/systemd/system
mkdir -p etc/systemd/system
for unit in systemd-udevd systemd-sysctl systemd-modules-load systemd-networkd systemd-timesyncd systemd-logind containerd; do
    ln -s /dev/null etc/systemd/system/$unit.service
done
for unit in getty.target docker.socket sys-kernel-debug.mount sys-kernel-tracing.mount dev-hugepages.mount; do
    ln -s /dev/null etc/systemd/system/$unit
done
cat >etc/systemd/system/docker.service <<UNIT
[Service]
ExecStart=/usr/sbin/dockerd --storage-driver=vfs --iptables=false --ip6tables=false --bridge=none -H unix:///run/docker.sock
Delegate=yes
KillMode=process
[Install]
WantedBy=multi-user.target
UNIT
mkdir etc/systemd/system/multi-user.target.wants
ln -s ../docker.service etc/systemd/system/multi-user.target.wants/docker.service
ln -s /lib/systemd/system/multi-user.target etc/systemd/system/default.target
mkdir .old
pivot_root . .old
umount -l /.old
exec env -i container=other PATH=/usr/sbin:/usr/bin:/sbin:/bin /lib/systemd/systemd --log-target=console
' bash "$folder" "$root"
