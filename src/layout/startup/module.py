# What `python -m` would have as the current folder: the application's.
APPLICATION = @APPLICATION@


def _name_program(name):
    """`-m` puts the current folder on sys.path and the module's file into sys.argv: both come out as they would
    with the application's folder as the current one, and the artifact's name."""
    import runpy

    run_module, run_code = runpy._run_module_as_main, runpy._run_code
    first = sys.path[0]

    def run_module_as_main(*args, **kwargs):
        runpy._run_module_as_main = run_module
        if not getattr(sys.flags, "safe_path", False):
            # Nothing was put before the rest where the current folder is gone.
            sys.path[:int(sys.path[0] != first)] = [os.path.join(sys.prefix, APPLICATION)]
        return run_module(*args, **kwargs)

    def run_main_code(*args, **kwargs):
        runpy._run_code = run_code
        sys.argv[0] = name
        return run_code(*args, **kwargs)

    runpy._run_module_as_main, runpy._run_code = run_module_as_main, run_main_code


