# What code does beside the files of its own world: an audit hook. A part of the script that begins in main.py.


def is_address(host):
    return ":" in host or host.replace(".", "").isdigit()


class Watch:
    """An audit hook: what is opened, started and called beside what belongs here, with who did it first."""

    def __init__(self, known):
        self.known = tuple(known)
        # Of the kernel's, not kept by anybody.
        self.kernels = ("/proc/", "/dev/", "/sys/")
        self.is_on = True
        self.opened = {}
        self.written = {}
        self.started = {}
        self.network = {}
        self.has_asked = False
        self.host = os.uname().nodename

    def __call__(self, event, args):
        if not self.is_on:
            return
        try:
            if event == "open":
                path = args[0]
                if type(path) is bytes:
                    path = os.fsdecode(path)
                if type(path) is str and path.startswith("/"):
                    # In this order: the folders of the run may lie in `/dev/shm`.
                    if path.startswith(self.known):
                        if args[2] & 3 and ".pyc" not in path:
                            self.written.setdefault(path, self.who())
                    elif not path.startswith(self.kernels):
                        self.opened.setdefault(path, self.who())
            elif event in ("os.rename", "sqlite3.connect"):
                path = os.fsdecode(args[1 if event == "os.rename" else 0])
                if path.startswith(self.known) and ".pyc" not in path:
                    self.written.setdefault(path, self.who())
            elif event in ("subprocess.Popen", "os.posix_spawn", "os.exec"):
                program = os.fspath(args[0])
                program = os.fsdecode(program) if type(program) is bytes else program
                self.started.setdefault(program, self.who())
            elif event == "os.system":
                self.started.setdefault("/bin/sh", self.who())
            elif event in ("socket.connect", "socket.sendto", "socket.sendmsg") and type(args[1]) is tuple:
                host = str(args[1][0])
                # A name that was asked for is noted, and may have another address each time.
                if not (self.has_asked and is_address(host)):
                    self.call(host)
            elif event == "socket.getaddrinfo" and args[0]:
                self.call(args[0].decode() if type(args[0]) is bytes else str(args[0]))
        except Exception:
            # What is watched must not notice.
            pass

    def call(self, host):
        # Its own name is another one on each machine.
        if host == self.host:
            host = "<hostname>"
        if host not in ("localhost", "::1", "::", "0.0.0.0") and not host.startswith("127."):
            self.network.setdefault(host, self.who())
            if host != "<hostname>" and not is_address(host):
                self.has_asked = True

    @staticmethod
    def who():
        frame = sys._getframe(2)
        while frame is not None:
            scope = frame.f_globals
            name = str(scope.get("__name__", ""))
            top = name.partition(".")[0]
            if scope is not globals() and top not in STDLIB and top not in ("importlib", "_frozen_importlib"):
                return name
            frame = frame.f_back
        return "the interpreter"
