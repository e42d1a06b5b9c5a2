# A machine gets its own host key.
rm -f /etc/ssh/ssh_host_*
rm -f /etc/update-motd.d/*
