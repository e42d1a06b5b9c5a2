#!/bin/bash
set -euo pipefail
chmod 755 /opt/heartbeat/heartbeat
cat > /etc/systemd/system/heartbeat.service <<'UNIT'
[Unit]
Description=A beat a second

[Service]
ExecStart=/opt/heartbeat/heartbeat
User=pulse
Restart=always

[Install]
WantedBy=multi-user.target
UNIT
systemctl daemon-reload
systemctl --quiet enable --now heartbeat
