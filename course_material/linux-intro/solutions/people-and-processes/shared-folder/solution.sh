#!/bin/bash
# after: new-colleague
set -euo pipefail
mkdir /srv/drafts
chgrp editors /srv/drafts
chmod 2770 /srv/drafts
