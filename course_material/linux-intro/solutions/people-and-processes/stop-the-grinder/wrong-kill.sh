#!/bin/bash
# systemd starts it again half a second later.
set -euo pipefail
pkill -KILL -f /usr/local/bin/grinder
