"""Defects painted on any board picture, on the device and without labels."""
