"""Calls to a cloud's APIs: bounded in time and number, tried again where that is safe, errors in words."""

import json
import random
import threading
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import yaml
from keystoneauth1 import exceptions as ks
from keystoneauth1.adapter import Adapter
from openstack.config import OpenStackConfig
from openstack.exceptions import ConfigException

from . import words

CLOUD = "machineroom"
"""What our cloud is called in clouds.yaml, and the part of that file that holds our own settings."""

AT_ONCE = 8
"""Calls at a time; a cloud's API has not many more workers."""

SECONDS = 30.0
"""For one call."""

AWAY_SECONDS = 5.0
"""For which nobody asks a cloud that did not answer: others wait for their turn, too."""

TRIES = 4
_PAUSE = 0.5
_LONGEST_PAUSE = 10.0

_VERSIONS = {"compute": "2.1", "network": "2.0", "image": "2"}
MICROVERSION = "2.90"
"""Of Nova: the first in which whoever makes a server says its host name (Xena, 2021)."""


class CloudError(Exception):
    """What a cloud refused, and why; `status` is 0 when it did not answer at all."""

    def __init__(self, sentence: str, status: int = 0) -> None:
        super().__init__(sentence)
        self.status = status


class Cloud:
    """The APIs of the cloud `machineroom` of a clouds.yaml. It may be used by many threads.

    The file is read again when it changes, so new credentials need no restart.
    """

    def __init__(self, clouds: Path) -> None:
        self._clouds = clouds
        self._slots = threading.BoundedSemaphore(AT_ONCE)
        self._lock = threading.Lock()
        self._read_at = 0.0
        self._away: dict[str, tuple[float, CloudError]] = {}
        self._adapters: dict[str, Adapter] = {}
        self._settings: dict[str, Any] = {}

    @property
    def settings(self) -> Mapping[str, Any]:
        """Our own settings: what stands below `machineroom:` in clouds.yaml, beside `clouds:`."""
        self._adapter("compute")
        return self._settings

    def get(self, service: str, path: str, **query: Any) -> Any:
        """What `path` of a service ("compute", "network", "image") says."""
        return self._call("GET", service, path, params=query)

    def listing(self, service: str, path: str, key: str, **query: Any) -> Iterator[Any]:
        """All that a listing tells, over all its pages; `key` is what the list is called in the answer."""
        while True:
            answer = self.get(service, path, **query)
            yield from answer[key]
            links = answer.get(f"{key}_links") or []
            if not answer[key] or not (answer.get("next") or any(link["rel"] == "next" for link in links)):
                return
            query["marker"] = answer[key][-1]["id"]

    def post(self, service: str, path: str, body: Mapping[str, Any]) -> Any:
        """Make something, or give an order. Not tried again unless it was surely not taken."""
        return self._call("POST", service, path, json=body)

    def delete(self, service: str, path: str) -> None:
        """Remove something; what is not there is no error."""
        try:
            self._call("DELETE", service, path)
        except CloudError as error:
            if error.status != 404:
                raise

    def _call(self, method: str, service: str, path: str, **arguments: Any) -> Any:
        for tries_left in reversed(range(TRIES)):
            with self._slots:
                self._refuse_while_away(service)
                try:
                    return self._once(method, service, path, arguments)
                except CloudError as error:
                    failure = error
            # 429 and 503 come from in front of a service, which has done nothing
            harmless = method != "POST" and (failure.status == 0 or failure.status >= 500)
            if not tries_left or not (harmless or failure.status in (429, 503)):
                break
            pause = _PAUSE * 2 ** (TRIES - tries_left)
            time.sleep(min(_LONGEST_PAUSE, pause) * random.uniform(0.7, 1.3))  # noqa: S311
        if failure.status == 0:
            self._away[service] = (time.monotonic() + AWAY_SECONDS, failure)
        raise failure

    def _refuse_while_away(self, service: str) -> None:
        """Threads of others must not pile up in front of a cloud that does not answer."""
        until, failure = self._away.get(service, (0.0, None))
        if failure and time.monotonic() < until:
            raise failure

    def _once(self, method: str, service: str, path: str, arguments: Mapping[str, Any]) -> Any:
        name = words.SERVICES[service]
        headers = {"Accept": "application/json"}
        try:
            answer = self._adapter(service).request(
                path, method, raise_exc=False, connect_retries=0, headers=headers, **arguments
            )
        except ks.Unauthorized:
            raise CloudError(words.CREDENTIALS, 401) from None
        except ks.HttpError as error:  # of keystone, which gives us a token
            raise CloudError(words.refusal("keystone", error.http_status, str(error.message))) from None
        except ks.EndpointNotFound as error:
            raise CloudError(f"the cloud offers no {name} where we look for it: {_line(error)}") from None
        except ks.ConnectTimeout:
            raise CloudError(f"{name} did not answer within {SECONDS:g} s. {_AWAY}") from None
        except (ks.ClientException, ConfigException) as error:
            raise CloudError(f"{name} cannot be reached: {_line(error)}. {_AWAY}") from None
        if answer.status_code >= 400:
            raise CloudError(words.refusal(service, answer.status_code, answer.text), answer.status_code)
        if not answer.content:
            return {}
        try:
            return answer.json()
        except json.JSONDecodeError:
            raise CloudError(
                f"{name} answered with something that is no JSON ({answer.text[:80]!r}). "
                "Is there a proxy between us and the cloud?",
                502,
            ) from None

    def _adapter(self, service: str) -> Adapter:
        with self._lock:
            try:
                changed = self._clouds.stat().st_mtime
                if changed != self._read_at:
                    self._open()
                    self._read_at = changed
            except FileNotFoundError:
                raise CloudError(
                    f"there is no {self._clouds}, which says how the cloud is reached: see docs/servers.md"
                ) from None
            except (ConfigException, yaml.YAMLError, ks.ClientException) as error:
                raise CloudError(
                    f"{self._clouds} cannot be used: {_line(error)}. See docs/servers.md"
                ) from None
            return self._adapters[service]

    def _open(self) -> None:
        config = OpenStackConfig(
            config_files=[str(self._clouds)],
            secure_files=[],
            vendor_files=[],
            load_envvars=False,
            app_name="machineroom",
        )
        region = config.get_one(cloud=CLOUD, api_timeout=SECONDS)
        session = region.get_session()
        self._settings = region.get_client_config(CLOUD, {}) or {}
        self._adapters = {
            service: Adapter(
                session,
                service_type=service,
                interface=region.get_interface(service),
                region_name=region.get_region_name(service),
                endpoint_override=region.get_endpoint(service),
                version=version,
                default_microversion=MICROVERSION if service == "compute" else None,
            )
            for service, version in _VERSIONS.items()
        }


_AWAY = "What runs goes on; try again when the cloud is back"


def _line(error: Exception) -> str:
    return " ".join(str(error).split()).rstrip(".")[:300]
