"""What may be asked of the node's own pages."""

from ...contract.route import Auth, Lane, Route, planned

ROUTES = planned((
    Route("node.pages.home", "GET", "/",
          "Show the app.",
          Auth.PUBLIC, Lane.INLINE, "app"),
    Route("node.pages.app", "GET", "/app",
          "Show the app.",
          Auth.PUBLIC, Lane.INLINE, "app"),
    Route("node.pages.easy", "GET", "/easy",
          "Show the helper that pairs machines.",
          Auth.PUBLIC, Lane.INLINE, "easy"),
    Route("node.pages.control", "GET", "/control",
          "Show the control deck.",
          Auth.PUBLIC, Lane.INLINE, "control"),
    Route("node.pages.control_mobile", "GET", "/control/mobile",
          "Show the control deck for a phone.",
          Auth.PUBLIC, Lane.INLINE, "control"),
    Route("node.pages.webmanifest", "GET", "/app.webmanifest",
          "Show what a browser needs to install the app.",
          Auth.PUBLIC, Lane.INLINE, "webmanifest"),
))
