"""Synthetic boards: images with exact boxes, masks and clean twins, made on the fly."""
