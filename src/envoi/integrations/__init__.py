"""This room fits Envoi into hosts that already have a mail call of their own; one folder each."""
