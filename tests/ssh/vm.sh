#!/usr/bin/env bash
# A virtual machine to try SSH hosts on by hand: Debian with systemd, OpenSSH's server and etcd, a clock and a
# kernel of its own. Not part of the tests: it is emulated, takes minutes to make and to start, and needs root
# and Debian's packages qemu-system-x86, debootstrap and e2fsprogs.
#
#   tests/ssh/vm.sh build DIR    makes DIR/disk.img, DIR/key (logs in as root) and DIR/boot/
#   tests/ssh/vm.sh run DIR      starts it; SSH is at 127.0.0.1:2222, etcd at 127.0.0.1:2379; ends with `poweroff`
#
# It reaches no network, and only this machine's loopback reaches it. Other ports: SSH_PORT and ETCD_PORT.
set -euo pipefail

build() {
    local packages=systemd,systemd-sysv,systemd-timesyncd,dbus,openssh-server,openssh-sftp-server
    packages+=,etcd-server,etcd-client,linux-image-amd64,initramfs-tools,iproute2,nftables,kmod,procps,python3-minimal
    local root="$dir/root"
    mkdir -p "$dir"
    [ -e "$dir/key" ] || ssh-keygen -q -t ed25519 -N '' -C vm -f "$dir/key"
    [ -e "$root/etc/debian_version" ] ||
        debootstrap --variant=minbase --include="$packages" bookworm "$root"

    install -d -m 700 "$root/root/.ssh"
    install -m 600 "$dir/key.pub" "$root/root/.ssh/authorized_keys"
    echo vm > "$root/etc/hostname"
    printf '127.0.0.1 localhost vm\n' > "$root/etc/hosts"
    printf '/dev/vda / ext4 defaults 0 1\n' > "$root/etc/fstab"
    printf '[Match]\nName=e*\n[Network]\nDHCP=ipv4\n' > "$root/etc/systemd/network/wire.network"
    printf '%s\n' 'ETCD_NAME=n1' 'ETCD_LISTEN_CLIENT_URLS=http://0.0.0.0:2379' \
        "ETCD_ADVERTISE_CLIENT_URLS=http://127.0.0.1:${ETCD_PORT:-2379}" > "$root/etc/default/etcd"
    chroot "$root" systemctl -q enable systemd-networkd systemd-timesyncd ssh
    chroot "$root" systemctl -q disable etcd

    mkdir -p "$dir/boot"
    cp "$root"/boot/vmlinuz-* "$dir/boot/vmlinuz"
    cp "$root"/boot/initrd.img-* "$dir/boot/initrd"
    rm -f "$dir/disk.img"
    mke2fs -q -t ext4 -d "$root" "$dir/disk.img" 4G
}

run() {
    local forward="hostfwd=tcp:127.0.0.1:${SSH_PORT:-2222}-:22,hostfwd=tcp:127.0.0.1:${ETCD_PORT:-2379}-:2379"
    exec qemu-system-x86_64 -accel tcg,thread=multi -cpu max -smp 2 -m 2G -nographic -no-reboot \
        -kernel "$dir/boot/vmlinuz" -initrd "$dir/boot/initrd" \
        -append "root=/dev/vda rw console=ttyS0 quiet" \
        -drive "file=$dir/disk.img,format=raw,if=virtio,cache=unsafe" \
        -netdev "user,id=wire,restrict=on,$forward" -device virtio-net-pci,netdev=wire \
        -device virtio-rng-pci
}

if [ $# != 2 ] || ! [[ $1 =~ ^(build|run)$ ]]; then
    sed -n '2,9s/^# \{0,1\}//p' "$0" >&2
    exit 2
fi
dir="$(realpath -m "$2")"
"$1"
