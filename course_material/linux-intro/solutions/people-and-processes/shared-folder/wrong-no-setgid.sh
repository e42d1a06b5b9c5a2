#!/bin/bash
# New files belong to ada's own group, so her colleagues cannot read them.
# after: new-colleague
set -euo pipefail
mkdir /srv/drafts
chgrp editors /srv/drafts
chmod 770 /srv/drafts
