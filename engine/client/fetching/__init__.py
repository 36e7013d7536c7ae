"""Downloads as a user sees them: begun, continued at login, held back, ended. Their course is the coordinator's."""
