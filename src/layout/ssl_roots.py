

# From here on added by packproof. OpenSSL looks for certificates where it was built to, and it was built for another
# system than this one may be. Where neither that file nor that folder is there, the system's own bundle is used; but who
# says in the environment where they are means that and nothing else.
_SYSTEM_BUNDLES = (
    "/etc/ssl/certs/ca-certificates.crt",
    "/etc/pki/tls/certs/ca-bundle.crt",
    "/etc/ssl/ca-bundle.pem",
    "/etc/pki/tls/cacert.pem",
    "/etc/pki/ca-trust/extracted/pem/tls-ca-bundle.pem",
    "/etc/ssl/cert.pem",
)
_built_in_verify_paths = get_default_verify_paths


def get_default_verify_paths():
    paths = _built_in_verify_paths()
    told = paths.openssl_cafile_env in os.environ or paths.openssl_capath_env in os.environ
    if paths.cafile is None and paths.capath is None and not told:
        for bundle in _SYSTEM_BUNDLES:
            if os.path.isfile(bundle):
                return paths._replace(cafile=bundle)
    return paths


get_default_verify_paths.__doc__ = _built_in_verify_paths.__doc__


def _set_default_verify_paths(self):
    super(SSLContext, self).set_default_verify_paths()
    built_in, found = _built_in_verify_paths(), get_default_verify_paths()
    if found != built_in:
        self.load_verify_locations(cafile=found.cafile)


SSLContext.set_default_verify_paths = _set_default_verify_paths
