"""One node, four protocols: OCP mesh, Orbiplex seed directory, App Mesh and OSCP 2.0."""

VERSION = "0.1.0"
