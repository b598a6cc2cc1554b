"""The directory surface: signed advertisements by which nodes find each other."""
