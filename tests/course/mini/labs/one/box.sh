#!/bin/sh
mkdir /srv/greetings
