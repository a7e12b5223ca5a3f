"""This room fits Envoi into its hosts, in the terms that each of them has; one file or folder each."""
