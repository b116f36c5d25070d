"""The parts of ``evaluate``: what is asked, what chooses and what is reported on, what is written and what is said."""
