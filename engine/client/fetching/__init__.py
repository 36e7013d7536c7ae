"""Downloads as a user sees them: begun, continued after a login, held back, ended. Their course is the coordinator's.
"""
