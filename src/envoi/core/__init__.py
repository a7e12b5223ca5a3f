"""This room holds the decisions: values and pure functions, no clock, socket, file or thread."""
