def _uncustomized():
    """No folder of the tree has a `sitecustomize`, and each would be listed to find none. What another line of a .pth
    file has brought is asked as ever."""
    import site

    look, finders = site.execsitecustomize, sys.meta_path[:]

    def looked():
        site.execsitecustomize = look
        if sys.meta_path != finders or not all(folder.startswith(sys.prefix) for folder in sys.path):
            look()

    site.execsitecustomize = looked


_uncustomized()


