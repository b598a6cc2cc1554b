"""This node's own key: what it is, how it came to be, and the step to the next one."""
