#!/bin/sh
# Makes the guest `tiny`: kernel, initramfs and disk for Glance, in the folder that is named.
# A system of a few megabytes that answers to ssh within seconds even where its processor is emulated.
set -eu
here=$(dirname "$0")
target=$1
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
mkdir -p "$target"

cd "$work"
package=$(apt-cache depends linux-image-cloud-amd64 | sed -n 's/.*Depends: \(linux-image-[0-9].*\)/\1/p' | head -n 1)
apt-get download -q "$package"
dpkg-deb -x "$package"_*.deb kernel
version=$(ls kernel/usr/lib/modules 2>/dev/null || ls kernel/lib/modules)
[ -d kernel/lib ] || ln -s usr/lib kernel/lib
cp kernel/boot/vmlinuz-* "$target/tiny.kernel"
depmod -b kernel "$version"

# initramfs: busybox, the modules for disk and network in their order
mkdir -p initramfs/bin initramfs/modules
cp /bin/busybox initramfs/bin/
cp "$here/init" initramfs/init
chmod 755 initramfs/init
for module in virtio_pci virtio_blk virtio_net virtio_rng virtio_console ext4 ata_piix ahci sr_mod isofs evdev button; do
    modprobe -d kernel -S "$version" --show-depends "$module" 2>/dev/null || true
done | sed -n 's/^insmod \([^ ]*\).*/\1/p' | while read -r file; do
    name=$(basename "$file" .xz)
    [ ! -e "initramfs/modules/$name" ] || continue
    case $file in
        *.xz) xz -dc "$file" >"initramfs/modules/$name" ;;
        *) cp "$file" "initramfs/modules/$name" ;;
    esac
    echo "$name" >>initramfs/modules/order
done
(cd initramfs && find . | cpio --quiet -o -H newc -R 0:0 | gzip -9) >"$target/tiny.initramfs"

# disk: the same busybox with dropbear, and what configures it at boot
mkdir -p root
(cd root && mkdir -p bin sbin usr/bin usr/sbin etc/dropbear etc/ssh etc/acpi/PWRF dev proc sys run tmp mnt var/log lib lib64 home)
install -d -m 700 root/root root/root/.ssh
cp /bin/busybox root/bin/
for applet in $(/bin/busybox --list-full); do
    mkdir -p "root/$(dirname "$applet")"
    [ -e "root/$applet" ] || ln -s /bin/busybox "root/$applet"
done
for program in /usr/sbin/dropbear /usr/bin/dropbearkey /usr/bin/dbclient /usr/lib/dropbear/dropbearconvert; do
    [ -e "$program" ] || program=$(command -v "$(basename "$program")")
    cp -L "$program" "root/usr/bin/$(basename "$program")"
    ldd "$program" | sed -nE 's/^.* => (\/[^ ]+) .*$/\1/p; s/^\t(\/[^ ]+) .*$/\1/p' | while read -r library; do
        mkdir -p "root/$(dirname "$library")"
        cp -Lf "$library" "root/$library"
    done
done
for file in inittab boot udhcpc instance ssh-server login-console; do
    install -m 755 "$here/$file" "root/etc/$file"
done
chmod 644 root/etc/inittab
printf '#!/bin/sh\npoweroff\n' >root/etc/acpi/PWRF/00000080
chmod 755 root/etc/acpi/PWRF/00000080
echo 'root:*:0:0:root:/root:/bin/sh' >root/etc/passwd
echo 'root:x:0:' >root/etc/group
echo '/bin/sh' >root/etc/shells
echo 'tiny' >root/etc/hostname
printf 'PRETTY_NAME="Machineroom tiny guest"\nID=tiny\n' >root/etc/os-release
# sparse: what is not used takes no space in Glance nor on a compute node
rm -f disk.raw
mkfs.ext4 -q -E root_owner=0:0 -O ^metadata_csum,^orphan_file -L root -d root disk.raw 512M
qemu-img convert -O qcow2 -c disk.raw "$target/tiny.qcow2"
