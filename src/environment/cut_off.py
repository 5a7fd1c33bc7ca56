def cut_off():
    """Leaves the network behind where the kernel lets it: as root at once, else with a user namespace around it."""
    try:
        import ctypes

        unshare = ctypes.CDLL(None).unshare
    except (ImportError, OSError, AttributeError):
        return
    new_user, new_network = 0x10000000, 0x40000000
    if unshare(new_network) != 0:
        unshare(new_user | new_network)


