"""This room knows who exists: users, their addresses and groups, and who an event can reach."""
