def _once():
    """`site` is at work. As in a virtual environment, it reads the .pth files of this folder twice; once will do."""
    import site

    add = site.addsitepackages

    def added(known_paths, prefixes=None):
        site.addsitepackages = add
        return known_paths

    site.addsitepackages = added


_once()


