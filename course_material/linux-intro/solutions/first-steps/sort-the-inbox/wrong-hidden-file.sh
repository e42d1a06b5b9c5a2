#!/bin/bash
# Forgets that * passes over names that begin with a dot.
set -euo pipefail
mkdir -p /srv/archive/text /srv/archive/logs
mv /srv/inbox/*.txt /srv/archive/text
cp /srv/inbox/*.log /srv/archive/logs
rm /srv/inbox/*.tmp
ln -s /srv/archive /srv/latest
