#!/bin/bash
set -euo pipefail
cat > /etc/systemd/system/backup.service <<'UNIT'
[Unit]
Description=Back up the shop

[Service]
Type=oneshot
ExecStart=/usr/bin/tar -czf /var/backups/shop.tar.gz -C /srv shop
UNIT
cat > /etc/systemd/system/backup.timer <<'UNIT'
[Unit]
Description=Back up the shop every night

[Timer]
OnCalendar=*-*-* 03:30
Persistent=true

[Install]
WantedBy=timers.target
UNIT
systemctl daemon-reload
systemctl --quiet enable --now backup.timer
