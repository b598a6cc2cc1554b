"""What may be asked of App Mesh roles."""

from ...contract.route import Auth, Lane, Route

ROUTES = (
    Route("appmesh.roles.list", "GET", "/appmesh/roles",
          "List the roles with their permissions.",
          Auth.APPMESH, Lane.INLINE, "list_all", needs="role-view"),
    Route("appmesh.roles.put", "POST", "/appmesh/role/{role}",
          "Set the permissions of a role.",
          Auth.APPMESH, Lane.WRITE, "put", needs="role-set", body_raw=True, reply="Message"),
    Route("appmesh.roles.delete", "DELETE", "/appmesh/role/{role}",
          "Remove a role.",
          Auth.APPMESH, Lane.WRITE, "delete", needs="role-delete", reply="Message"),
    Route("appmesh.roles.permissions", "GET", "/appmesh/permissions",
          "List every permission that some role holds.",
          Auth.APPMESH, Lane.INLINE, "permissions", needs="permission-list"),
)
