"""Running trained networks on images and films."""
