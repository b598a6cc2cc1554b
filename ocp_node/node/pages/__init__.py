"""The pages: the app, the set-up helper, the control deck."""
