"""Who may do what: tenants, their keys with scopes, and the sessions of browsers."""
