"""A cloud to test against: a whole OpenStack in one container, made and removed by one command.

It is the image `openstack-aio`, whose own first boot makes secrets, configuration and a project to use.
"""

from .lifecycle import CloudError, Tell, health, is_outdated, purge, stop, up
from .objects import IMAGE, clouds_file

__all__ = ["IMAGE", "CloudError", "Tell", "clouds_file", "health", "is_outdated", "purge", "stop", "up"]
