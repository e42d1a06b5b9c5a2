#!/bin/bash
# Lets her do everything.
# after: new-colleague
set -euo pipefail
echo 'ada ALL = (ALL) NOPASSWD: ALL' > /etc/sudoers.d/ada
chmod 440 /etc/sudoers.d/ada
