"""Golden images from the images themselves: what most repeats of a place show is the pattern, and a defect is what one
of them shows.
"""
