#!/bin/bash
# Mixes up cp and mv, and makes /srv/latest a folder.
set -euo pipefail
mkdir -p /srv/archive/text /srv/archive/logs
cp /srv/inbox/*.txt /srv/archive/text
mv /srv/inbox/*.log /srv/archive/logs
rm /srv/inbox/*.tmp /srv/inbox/.hidden.tmp
cp -r /srv/archive /srv/latest
