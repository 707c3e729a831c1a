#!/usr/bin/env bash
# A virtual machine of Debian's kernel, busybox and our tests, to try on what this machine's own kernel lacks, netem
# say. Not part of the tests: it is emulated, and needs Debian's packages qemu-system-x86 and binutils. It starts in
# seconds, reaches no network and has no disk.
#
#   tests/host/vm.sh DIR [COMMAND]    runs a shell's command in it; downloads and unpacks what it needs to DIR
#
# There are elenchus, test-host and test-agent, as they were built last (`cargo test --no-run`); the users are root and
# nobody. WITHOUT="nfnetlink_queue nft_queue xt_NFQUEUE" leaves modules of the kernel out: so it has no packet queue.
set -euo pipefail
[ $# -ge 1 ] || { sed -n '2,9s/^# \{0,1\}//p' "$0" >&2; exit 2; }
dir="$(realpath -m "$1")"
command="${2:-test-host packets; test-host streams; test-agent suffer}"
built="$(cd "$(dirname "$0")/../.." && pwd)/target/debug"

mkdir -p "$dir" && cd "$dir"
if ! [ -e unpacked ]; then
    image="$(apt-cache depends linux-image-amd64 | sed -n 's/.*Depends: //p' | head -n 1)"
    apt-get -q download "$image" busybox-static
    for package in ./*.deb; do dpkg-deb -x "$package" debian; done
    touch unpacked
fi

rm -rf root && mkdir -p root/{bin,sbin,etc,dev,proc,sys,tmp,run,lib64}
cp debian/bin/busybox root/bin/
version="$(ls debian/lib/modules)"
modules="lib/modules/$version"
mkdir -p "root/$modules/kernel/drivers"
cp "debian/$modules"/modules.{order,builtin,builtin.modinfo} "root/$modules/"
cp -r "debian/$modules/kernel"/{net,lib,crypto} "root/$modules/kernel/"
cp -r "debian/$modules/kernel/drivers/net" "root/$modules/kernel/drivers/"
for module in ${WITHOUT:-}; do find "root/$modules" -name "$module.ko" -delete; done
root/bin/busybox depmod -b "$PWD/root" "$version"

newest() { find "$built/deps" -maxdepth 1 -name "$1-*" -executable -printf '%T@ %p\n' | sort -n | tail -n 1 | cut -d' ' -f2-; }
strip -o root/bin/elenchus "$built/elenchus"
for test in host agent; do strip -o "root/bin/test-$test" "$(newest "$test")"; done
# Each where its program looks for it.
ldd root/bin/elenchus root/bin/test-* | grep -oE '/[^ ]+\.so[^ ]*' | sort -u | while read -r library; do
    install -D "$library" "root$library"
done

printf '%s\n' root:x:0:0::/tmp:/bin/sh nobody:x:65534:65534::/tmp:/bin/sh > root/etc/passwd
cat > root/init <<'INIT'
#!/bin/busybox sh
/bin/busybox --install -s /bin
ln -s /bin/busybox /sbin/modprobe
export PATH=/bin:/sbin HOME=/tmp
mount -t proc proc /proc; mount -t sysfs sys /sys; mount -t devtmpfs dev /dev
mount -t tmpfs -o mode=1777 tmp /tmp; mount -t tmpfs run /run
ip link set lo up
cd /tmp
. /command
poweroff -f
INIT
chmod 755 root root/init
printf '%s\n' "$command" > root/command
(cd root && find . | bin/busybox cpio -o -H newc 2> ../cpio.log | gzip -1) > initrd

exec qemu-system-x86_64 -accel tcg,thread=multi -cpu max -smp 2 -m 2500M -nic none -nographic -no-reboot \
    -kernel debian/boot/vmlinuz-* -initrd initrd -append "console=ttyS0 quiet panic=-1" < /dev/null
