#!/bin/bash
# Plain useradd makes neither a home nor bash her shell.
set -euo pipefail
groupadd editors
useradd --no-create-home --shell /bin/sh --groups editors ada
