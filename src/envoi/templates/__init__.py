"""This room says in which words: kinds and senders as folders bring them, and their templates."""
