useradd --create-home --uid 1000 --user-group --shell /bin/bash jovyan
