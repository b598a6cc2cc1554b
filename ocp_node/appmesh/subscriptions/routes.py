"""What may be asked of App Mesh subscriptions."""

from ...contract.route import Auth, Lane, Route, planned

ROUTES = planned((
    Route("appmesh.subscriptions.add", "POST", "/appmesh/app/{app}/subscribe",
          "Subscribe a lasting connection to one application's events.",
          Auth.APPMESH, Lane.STREAM, "add", needs="app-subscribe"),
    Route("appmesh.subscriptions.add_all", "POST", "/appmesh/subscribe",
          "Subscribe a lasting connection to every application's events.",
          Auth.APPMESH, Lane.STREAM, "add_all", needs="app-subscribe"),
    Route("appmesh.subscriptions.remove", "DELETE", "/appmesh/app/{app}/subscribe",
          "End a subscription.",
          Auth.APPMESH, Lane.STREAM, "remove", needs="app-subscribe"),
    Route("appmesh.subscriptions.remove_all", "DELETE", "/appmesh/subscribe",
          "End a subscription to every application.",
          Auth.APPMESH, Lane.STREAM, "remove", needs="app-subscribe"),
    Route("appmesh.subscriptions.follow", "GET", "/appmesh/app/{app}/subscribe",
          "Follow one application's events as server-sent events.",
          Auth.APPMESH, Lane.STREAM, "follow", needs="app-subscribe"),
    Route("appmesh.subscriptions.follow_all", "GET", "/appmesh/subscribe",
          "Follow every application's events as server-sent events.",
          Auth.APPMESH, Lane.STREAM, "follow_all", needs="app-subscribe"),
))
