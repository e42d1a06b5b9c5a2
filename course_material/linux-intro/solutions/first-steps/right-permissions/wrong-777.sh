#!/bin/bash
# The answer that search engines give.
set -euo pipefail
chmod -R 777 /srv/letters
