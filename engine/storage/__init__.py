"""Files: manifests, destinations, the journal, and what this client remembers between runs."""
