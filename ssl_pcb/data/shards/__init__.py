"""Sets of samples in tar files, for pretraining on more than one disk holds.

A shard is a tar file in WebDataset's layout: of each sample ``KEY.png`` (or ``KEY.jpg``) and ``KEY.json``,
one after the other. ``ssl-pcb data shards`` writes them with an ``index.json`` and a ``samples.parquet``
beside; shards from elsewhere need neither.
"""
