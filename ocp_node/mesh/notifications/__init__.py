"""Messages to people, shaped for the device they are read on."""
