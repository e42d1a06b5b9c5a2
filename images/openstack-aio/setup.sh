# Nothing of it starts by itself: openstack-aio.service starts it all, once there are secrets and configuration.
units=$(cd /usr/lib/systemd/system && ls | grep -E '^(keystone|glance|placement|nova|neutron|rabbitmq|mariadb|memcached|openvswitch|ovs|libvirt|virt)')
# shellcheck disable=SC2086
systemctl disable --quiet $units 2>/dev/null || true
update-rc.d neutron-periodic-workers remove
systemctl enable --quiet openstack-aio.service libvirt-guests.service libvirtd.socket virtlogd.socket
rm -f /etc/libvirt/qemu/networks/autostart/*
# Neutron's agents start the first three themselves; nobody asks for the others.
systemctl disable --quiet haproxy keepalived radvd iscsid.socket uuidd.socket 2>/dev/null || true

# The APIs of one class need few processes. Nova and Neutron keep one thread in each: with more, consoles hang.
for file in /etc/*/*-uwsgi.ini; do
    sed -i -E 's/^processes = .*/processes = 2/; s/^threads = .*/threads = 1/; s/^plugins = .*/plugins = python3/; /^apparmor-profile/d' "$file"
done

# Bridges are the agents' and ours to make: after a start nothing of the last time is believed.
echo "OVS_CTL_OPTS='--delete-bridges'" >>/etc/default/openvswitch-switch

# Ours come first: see /usr/local/sbin/ip.
sed -i -E 's#^exec_dirs ?= ?#exec_dirs=/usr/local/sbin,#' /etc/neutron/rootwrap.conf

# libvirt would register guests with these, and wait for an answer that does not come in a container.
systemctl mask --quiet systemd-machined.service machines.target
rm -f /usr/share/dbus-1/system-services/org.freedesktop.machine1.service /usr/share/dbus-1/system-services/org.freedesktop.login1.service
cat >>/etc/libvirt/qemu.conf <<'END'
# In a container there are neither security modules nor cgroups to give away, nor trusted attributes of files.
security_driver = "none"
cgroup_controllers = []
namespaces = []
remember_owner = 0
END
rm -f /etc/nova/nova-compute.conf  # written at the first boot
printf 'auth_unix_ro = "none"\nauth_unix_rw = "none"\n' >>/etc/libvirt/libvirtd.conf

sed -i 's/^NOVA_CONSOLE_PROXY_TYPE=.*/NOVA_CONSOLE_PROXY_TYPE=novnc/' /etc/default/nova-consoleproxy

# It would not start where there is no IPv6.
sed -i '/^-l ::1/d' /etc/memcached.conf

sh /usr/local/share/openstack-aio/guest/make.sh /usr/local/share/openstack-aio/images
(cd /usr/local/lib/openstack-aio && PYTHONDONTWRITEBYTECODE=1 python3 -m aio.prefill)
rm -rf /var/log/mysql/* /var/log/nova/* /var/log/neutron/* /var/log/keystone/* /var/log/glance/* /var/log/placement/*
apt-get clean
