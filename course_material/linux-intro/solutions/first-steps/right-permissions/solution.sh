#!/bin/bash
set -euo pipefail
cd /srv/letters
chmod 600 diary.txt
chmod 644 notice.txt
chmod 755 greet .
