#!/bin/bash
# It works, and everybody may read the password.
set -euo pipefail
sed -i 's|bin/greter|bin/greeter|' /etc/systemd/system/greeter.service
chmod 644 /etc/greeter.conf
systemctl daemon-reload
systemctl restart greeter
