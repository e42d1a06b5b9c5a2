#!/bin/bash
# Works for the editors, and for everybody else.
# after: new-colleague
set -euo pipefail
mkdir /srv/drafts
chgrp editors /srv/drafts
chmod 2777 /srv/drafts
