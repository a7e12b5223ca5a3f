"""This room fits Envoi into its hosts, in the terms that each has; one file or folder each."""
