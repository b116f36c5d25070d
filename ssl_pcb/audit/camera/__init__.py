"""What a board camera does to a picture when light, optics, sensor or mounting are no longer as they were."""
