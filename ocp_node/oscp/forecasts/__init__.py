"""How much capacity a group may use, and asking for more (OSCP 2.0 forecasts)."""
