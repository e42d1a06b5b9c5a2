#!/bin/bash
# Lets her stop and start every service there is.
# after: new-colleague
set -euo pipefail
echo 'ada ALL = (root) NOPASSWD: /usr/bin/systemctl' > /etc/sudoers.d/ada
chmod 440 /etc/sudoers.d/ada
