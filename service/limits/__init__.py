"""How much a tenant and a key may use: rates, quotas of the month, and what was used."""
