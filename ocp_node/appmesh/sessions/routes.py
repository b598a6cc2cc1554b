"""What may be asked of App Mesh sessions."""

from ...contract.route import Auth, Lane, Route, planned

ROUTES = (
    Route("appmesh.sessions.login", "POST", "/appmesh/login",
          "Exchange a name and password for a token.",
          Auth.SIGNED, Lane.WORKER, "login", reply="Token"),
    Route("appmesh.sessions.authenticate", "POST", "/appmesh/auth",
          "Check a token, and whether it carries a permission.",
          Auth.APPMESH, Lane.INLINE, "authenticate", reply="Token"),
    Route("appmesh.sessions.renew", "POST", "/appmesh/token/renew",
          "Exchange a token for a fresh one.",
          Auth.SIGNED, Lane.WORKER, "renew", reply="Token"),
    Route("appmesh.sessions.logoff", "POST", "/appmesh/self/logoff",
          "End the session of the tokens shown.",
          Auth.SIGNED, Lane.WRITE, "logoff"),
    *planned((
        Route("appmesh.sessions.validate_code", "POST", "/appmesh/totp/validate",
              "Finish a log-in with a one-time code.",
              Auth.SIGNED, Lane.WORKER, "validate_code"),
        Route("appmesh.sessions.make_code_secret", "POST", "/appmesh/totp/secret",
              "Make a secret for one-time codes.",
              Auth.APPMESH, Lane.WRITE, "make_code_secret", needs="user-totp-active"),
        Route("appmesh.sessions.set_up_codes", "POST", "/appmesh/totp/setup",
              "Switch one-time codes on by proving the first.",
              Auth.APPMESH, Lane.WORKER, "set_up_codes", needs="user-totp-active"),
        Route("appmesh.sessions.disable_codes", "POST", "/appmesh/totp/{user}/disable",
              "Switch one-time codes off for a user.",
              Auth.APPMESH, Lane.WRITE, "disable_codes"),
    )),
)
