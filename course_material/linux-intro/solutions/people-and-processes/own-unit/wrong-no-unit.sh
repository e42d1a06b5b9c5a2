#!/bin/bash
# A program in the background is not a service.
set -euo pipefail
chmod 755 /opt/heartbeat/heartbeat
setsid --fork setpriv --reuid=pulse --regid=pulse --clear-groups /opt/heartbeat/heartbeat > /dev/null 2>&1 < /dev/null
