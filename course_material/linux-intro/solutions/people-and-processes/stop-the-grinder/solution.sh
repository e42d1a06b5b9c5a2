#!/bin/bash
set -euo pipefail
systemctl disable --now grinder
