# What a container cannot do or does not need; without these `systemctl is-system-running` says "running".
systemctl mask --quiet \
    tmp.mount dev-hugepages.mount dev-mqueue.mount \
    sys-kernel-config.mount sys-kernel-debug.mount sys-kernel-tracing.mount sys-fs-fuse-connections.mount \
    proc-sys-fs-binfmt_misc.automount systemd-binfmt.service systemd-modules-load.service \
    systemd-sysctl.service systemd-remount-fs.service systemd-random-seed.service \
    systemd-firstboot.service systemd-pstore.service systemd-logind.service \
    systemd-journald-audit.socket systemd-ask-password-console.path systemd-ask-password-wall.path \
    console-getty.service getty.target getty@tty1.service
# What is done here is not done again at every first boot.
journalctl --update-catalog
systemctl mask --quiet \
    ldconfig.service systemd-journal-catalog-update.service systemd-sysusers.service systemd-update-done.service
mkdir -p /etc/systemd/system-generators
for generator in systemd-ssh-generator systemd-gpt-auto-generator; do
    ln -s /dev/null /etc/systemd/system-generators/$generator
done
# Nothing happens on a machine that its student did not start.
systemctl mask --quiet \
    apt-daily.timer apt-daily-upgrade.timer dpkg-db-backup.timer man-db.timer e2scrub_all.timer fstrim.timer
systemctl set-default --quiet multi-user.target
# D-Bus comes when it is asked for.
ln -s /dev/null /etc/systemd/system/multi-user.target.wants/dbus.service

# A machine gets its own host key and its own id.
rm -f /etc/ssh/ssh_host_*
: > /etc/machine-id
# Indexing manual pages takes longer than most packages.
rm -f /var/lib/man-db/auto-update
rm -f /etc/update-motd.d/*
# With the lists at hand `apt-get install` works at once.
apt-get update --error-on=any
apt-get clean
