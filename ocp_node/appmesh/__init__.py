"""The App Mesh surface: programs under supervision for remote users, under `/appmesh/*`."""
