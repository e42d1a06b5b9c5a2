"""A cloud to test against: a whole OpenStack in one container, made and removed by one command.

It is the image `openstack-aio`, whose own first boot makes secrets, configuration and a project to use.
"""

from .lifecycle import CloudError, Tell, health, purge, stop, up
from .objects import clouds_file

__all__ = ["CloudError", "Tell", "clouds_file", "health", "purge", "stop", "up"]
