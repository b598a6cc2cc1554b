"""What an operator may do about nodes that have taken a new key."""

from ...contract.route import Auth, Lane, Route

ROUTES = (
    Route("directory.succession.bring", "POST", "/succession",
          "Import a statement by which a node passes to a new key; nothing follows from it until it is accepted.",
          Auth.LOCAL_ADMIN, Lane.WORKER, "bring", body="Anything", reply="Succession", body_raw=True),
    Route("directory.succession.accept", "POST", "/succession/{succession_id}/accept",
          "Accept an imported statement: look-ups of the old node name the new one beside it.",
          Auth.LOCAL_ADMIN, Lane.WRITE, "accept", reply="Succession"),
    Route("directory.succession.list", "GET", "/succession",
          "List imported and accepted statements.",
          Auth.LOCAL_ADMIN, Lane.INLINE, "list_all", reply="Successions"),
)
