#!/bin/bash
# Half past three in the afternoon, and enabled without being started.
set -euo pipefail
cat > /etc/systemd/system/backup.service <<'UNIT'
[Unit]
Description=Back up the shop

[Service]
Type=oneshot
ExecStart=/usr/bin/tar -czf /var/backups/shop.tar.gz -C /srv shop
UNIT
printf '[Timer]\nOnCalendar=*-*-* 15:30\n\n[Install]\nWantedBy=timers.target\n' > /etc/systemd/system/backup.timer
systemctl daemon-reload
systemctl --quiet enable backup.timer
