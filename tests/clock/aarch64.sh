#!/usr/bin/env bash
# Clock faults on aarch64, in an emulated virtual machine: the tests of this folder, built here for that
# processor, with Python and etcd, as root and as nobody. By hand, not part of the tests: it takes ten minutes, and
# root, Debian's packages qemu-system-arm, debootstrap, cpio, gcc-aarch64-linux-gnu, and
# `rustup target add aarch64-unknown-linux-gnu`.
#
#   tests/clock/aarch64.sh DIR [TEST...]    keeps in DIR what it downloads; tests whose names contain all of these
#
# CPU=cortex-a72 is an older processor, without BTI and pointer authentication; KERNEL=FILE another kernel than
# Debian 12's, ETCD=FILE another etcd: that one does not look for its clock where newer kernels show it
# (docs/cluster.md, "Clocks"). The machine reaches no network.
set -euo pipefail

[ $# -ge 1 ] || { sed -n '2,12s/^# \{0,1\}//p' "$0" >&2; exit 2; }
mkdir -p "$1"
dir="$(realpath "$1")"
shift
debs="$dir/download/var/cache/apt/archives"
root="$dir/root"
triple=aarch64-linux-gnu

[ -e "$dir/downloaded" ] || debootstrap --arch=arm64 --variant=minbase --download-only \
    --include=linux-image-arm64,busybox-static,libexpat1,python3-minimal,etcd-server,libssl-dev bookworm "$dir/download"
touch "$dir/downloaded"
unpack() {
    local into="$1" package
    mkdir -p "$into"/usr/{bin,lib,sbin} "$into"/{proc,sys,dev,tmp,etc}
    for package in bin lib sbin; do ln -sfn "usr/$package" "$into/$package"; done
    for package in "${@:2}"; do
        dpkg-deb --fsys-tarfile "$debs"/$package\_*.deb | tar -x --keep-directory-symlink -C "$into"
    done
}
if [ ! -e "$dir/unpacked" ]; then
    unpack "$root" busybox-static libc6 libgcc-s1 zlib1g libexpat1 python3-minimal python3.11-minimal \
        libpython3.11-minimal etcd-server
    unpack "$dir/kernel" 'linux-image-[0-9]*'
    unpack "$dir/ssl" libssl-dev
    cp -r "$dir/ssl/usr/include/$triple/openssl" "$dir/ssl/usr/include/"
    printf '%s\n' 'root:x:0:0::/tmp:/bin/sh' 'nobody:x:65534:65534::/tmp:/bin/sh' > "$root/etc/passwd"
    rm -rf "$root/usr/share/doc" "$root/usr/share/man"
    cp "$root/usr/bin/etcd" "$dir/etcd"
    touch "$dir/unpacked"
fi

cd "$(dirname "$0")/../.."
export CARGO_TARGET_AARCH64_UNKNOWN_LINUX_GNU_LINKER=$triple-gcc OPENSSL_NO_VENDOR=1 OPENSSL_STATIC=1
export AARCH64_UNKNOWN_LINUX_GNU_OPENSSL_LIB_DIR="$dir/ssl/usr/lib/$triple"
export AARCH64_UNKNOWN_LINUX_GNU_OPENSSL_INCLUDE_DIR="$dir/ssl/usr/include"
built="$(cargo test -p elenchus --test clock --no-run --target aarch64-unknown-linux-gnu --message-format json |
    sed -n 's/.*"executable":"\([^"]*\/clock-[^"]*\)".*/\1/p')"
$triple-strip -o "$root/clock" "$built"
cp "${ETCD:-$dir/etcd}" "$root/usr/bin/etcd"

cat > "$root/init" <<END
#!/bin/busybox sh
/bin/busybox --install -s /bin
export PATH=/bin:/usr/bin HOME=/tmp ELENCHUS_REQUIRE=ptrace,python3,etcd ETCD_UNSUPPORTED_ARCH=arm64
mount -t proc proc /proc
mount -t sysfs sys /sys
mount -t devtmpfs dev /dev
mount -t tmpfs -o mode=1777 tmp /tmp
ip link set lo up
uname -a
sed -n '/^Features/{p;q}' /proc/cpuinfo
for user in root nobody; do
    su -s /bin/sh \$user -c 'exec /clock $*' && echo "\$user: passed"
done
poweroff -f
END
chmod 755 "$root/init"
(cd "$root" && find . | cpio -o -H newc -R 0:0 --quiet) > "$dir/initramfs"

kernel="${KERNEL:-$(echo "$dir"/kernel/boot/vmlinuz-*)}"
qemu-system-aarch64 -M virt -cpu "${CPU:-max}" -accel tcg,thread=multi -smp 2 -m 2G -nographic -no-reboot \
    -nic none -kernel "$kernel" -initrd "$dir/initramfs" -append "console=ttyAMA0 quiet panic=1" \
    < /dev/null | tee "$dir/console"
[ "$(grep -c ': passed' "$dir/console")" = 2 ]
