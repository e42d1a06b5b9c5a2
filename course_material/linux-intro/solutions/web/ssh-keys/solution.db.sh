#!/bin/bash
set -euo pipefail
sed -i 's/PasswordAuthentication yes/PasswordAuthentication no/' /etc/ssh/sshd_config
kill -HUP "$(cat /run/sshd.pid)"
