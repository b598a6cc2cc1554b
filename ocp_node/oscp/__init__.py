"""The OSCP surface: the Open Smart Charging Protocol 2.0 in all three roles, under `/oscp/*`."""
