"""Images: bootstrapped from Debian on this host, without any registry, in layers."""

from .build import Image, ImageError, Progress, build, list_images, remove_images, silent, without_wheel
from .manifest import read_manifests

__all__ = [
    "Image",
    "ImageError",
    "Progress",
    "build",
    "list_images",
    "read_manifests",
    "remove_images",
    "silent",
    "without_wheel",
]
