mkdir /srv/lesson
