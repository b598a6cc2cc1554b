"""Passports, delegations and endorsements that count no more."""
