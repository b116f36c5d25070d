"""The single operations of AugMix and RandAugment."""
