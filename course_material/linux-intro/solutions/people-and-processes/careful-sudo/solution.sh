#!/bin/bash
# after: new-colleague
set -euo pipefail
echo 'ada ALL = (root) NOPASSWD: /usr/bin/systemctl restart ticker' > /etc/sudoers.d/ada
chmod 440 /etc/sudoers.d/ada
