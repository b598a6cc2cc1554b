"""The permissions there are, and the roles a new node begins with (App Mesh, permissions)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ...base.errors import Refusal

PERMISSION_LENGTH_MAX = 64
PERMISSIONS_MAX = 256
ROLES_MAX = 1_000

DEFAULT_ROLES: Mapping[str, tuple[str, ...]] = {
    "manage": ("app-control", "app-delete", "app-reg", "app-subscribe", "config-set", "file-download", "file-upload",
               "label-delete", "label-set"),
    "shell": ("app-run-async", "app-run-sync", "app-run-task"),
    "usermgr": ("user-add", "passwd-change-user", "user-delete", "user-lock", "role-delete", "role-set", "user-totp-disable",
                "user-unlock"),
    "view": ("config-view", "label-view", "role-view", "user-list", "permission-list", "passwd-change-self", "app-view-all",
             "app-view", "app-output-view",
             "user-totp-active", "user-token-renew", "host-resource-view"),
}


def checked_permissions(value: Any) -> frozenset[str]:
    """The permissions of a role: an array of short texts."""
    if not isinstance(value, list) or not all(isinstance(name, str) and 0 < len(name) <= PERMISSION_LENGTH_MAX for name in value):
        raise Refusal("invalid_request", "a role is an array of permission names")
    if len(value) > PERMISSIONS_MAX:
        raise Refusal("invalid_request", f"a role has at most {PERMISSIONS_MAX} permissions")
    return frozenset(value)
