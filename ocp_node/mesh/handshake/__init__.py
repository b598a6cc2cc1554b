"""Two nodes exchange signed cards and know each other from then on."""
