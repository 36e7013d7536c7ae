"""Files that this client shares: hashed, served again after a login, read again when they were touched, ended."""
