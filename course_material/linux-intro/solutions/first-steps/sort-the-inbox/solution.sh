#!/bin/bash
set -euo pipefail
mkdir -p /srv/archive/text /srv/archive/logs
mv /srv/inbox/*.txt /srv/archive/text
cp /srv/inbox/*.log /srv/archive/logs
rm /srv/inbox/*.tmp /srv/inbox/.hidden.tmp
ln -s /srv/archive /srv/latest
