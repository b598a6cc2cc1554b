"""Nodes on the local network: DNS-SD by way of the Avahi of this machine."""
