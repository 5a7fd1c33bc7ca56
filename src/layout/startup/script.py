def _name_program(name):
    sys.argv[0] = name


