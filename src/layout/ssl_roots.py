

# From here on added by packproof. OpenSSL looks for certificates where it was built to, and it was built for another
# system than this one may be. Where neither that file nor that folder is there, the system's own bundle is used; but who
# says in the environment where they are means that and nothing else.
def _packproof():
    # In a function, and no name of it is left behind: gevent and others copy every name that `ssl` has.
    bundles = (
        "/etc/ssl/certs/ca-certificates.crt",
        "/etc/pki/tls/certs/ca-bundle.crt",
        "/etc/ssl/ca-bundle.pem",
        "/etc/pki/tls/cacert.pem",
        "/etc/pki/ca-trust/extracted/pem/tls-ca-bundle.pem",
        "/etc/ssl/cert.pem",
    )
    built_in = get_default_verify_paths
    # Bound here and now: gevent, eventlet and truststore put a class of their own into `ssl`, and what asked for it by name
    # would find theirs, whose parent is this one.
    context = SSLContext
    inherited = context.set_default_verify_paths

    def found():
        paths = built_in()
        told = paths.openssl_cafile_env in os.environ or paths.openssl_capath_env in os.environ
        if paths.cafile is None and paths.capath is None and not told:
            for bundle in bundles:
                if os.path.isfile(bundle):
                    return paths._replace(cafile=bundle)
        return paths

    def set_default_verify_paths(self):
        inherited(self)
        paths = found()
        if paths != built_in():
            self.load_verify_locations(cafile=paths.cafile)

    found.__name__ = found.__qualname__ = built_in.__name__
    found.__doc__ = built_in.__doc__
    set_default_verify_paths.__qualname__ = "SSLContext.set_default_verify_paths"
    context.set_default_verify_paths = set_default_verify_paths
    return found


get_default_verify_paths = _packproof()
del _packproof
