"""Running a command once: waited for, or in the background."""
