"""The kinds of data sets that can be imported; apart from the importers, which are slow to load."""

KINDS = ("deeppcb", "folder", "table", "coco", "voc", "yolo")
