"""This room measures Envoi beside what people install today: `make bench`.

Whatever is compared runs in one run of this program, round after round in turn, so that a noisy
machine disturbs all alike; what is told are ratios and medians. Every figure is counted at the
sink: a run in which another number of mails arrived than was handed over is an error.
"""
