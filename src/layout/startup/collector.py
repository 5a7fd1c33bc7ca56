def _relax_collector():
    """Importing makes many objects that stay, and the collector looks at all of them again and again. Until one of its
    turns finds that hardly a module was imported since the last one, a turn comes every 100,000 objects, and takes what
    is new for old without looking at it."""
    import gc

    usual, relaxed = gc.get_threshold(), (100_000, 50, 1000)
    if not gc.isenabled() or usual[0] == 0:
        return
    seen = len(sys.modules)
    # Turns that look at nothing: enough to import twenty thousand modules, and a bound for the garbage that may lie about.
    left = 20
    frozen = False

    def look(phase, info):
        nonlocal seen, left, frozen
        if phase == "stop":
            if frozen:
                frozen = False
                gc.unfreeze()
            return
        if seen is None:
            return
        now = len(sys.modules)
        if now - seen >= 10:
            seen = now
            # What the application asks for itself is done; what it has frozen itself, or Python
            # 3.12 has as it begins, stays frozen.
            own = gc.get_threshold() == relaxed and info["generation"] == 0 and gc.get_count()[0] > relaxed[0]
            if own and left > 0 and gc.get_freeze_count() == 0:
                # Into a generation that is never looked at, so that nothing is left to do in this turn; at its end from there
                # into the oldest, which is looked at as ever once the program is up.
                left -= 1
                frozen = True
                gc.freeze()
            return
        seen = None
        # Thresholds that the application has set itself are the application's.
        if gc.get_threshold() == relaxed:
            gc.set_threshold(*usual)
        # The collector goes through this list by number: taking out any but the last would skip the next one.
        if gc.callbacks[-1] is look:
            del gc.callbacks[-1]

    gc.callbacks.append(look)
    gc.set_threshold(*relaxed)


_relax_collector()
