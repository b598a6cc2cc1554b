"""Who is where: the freshest advertisement known of every node."""
