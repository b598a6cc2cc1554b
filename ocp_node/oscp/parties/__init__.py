"""Who we are registered with: states, tokens, and the gate through which every message comes."""
