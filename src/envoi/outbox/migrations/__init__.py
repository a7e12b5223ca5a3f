"""This room brings the tables from any earlier form to today's: one revision for both engines."""
