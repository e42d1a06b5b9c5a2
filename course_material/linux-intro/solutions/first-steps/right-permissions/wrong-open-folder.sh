#!/bin/bash
# Right files in a folder where anybody may replace them.
set -euo pipefail
cd /srv/letters
chmod 600 diary.txt
chmod 644 notice.txt
chmod 755 greet
