"""Advisory locks on a named resource, held for a bounded time (OCP 0.1 leases)."""
