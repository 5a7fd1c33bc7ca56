"""Each wheel does some work in its native code; the last line of the standard output says what came of it."""
import io

import grpc
import lxml.etree
import numpy
import psycopg2.extensions
from concurrent.futures import ThreadPoolExecutor
from cryptography.fernet import Fernet
from cryptography.hazmat.primitives.asymmetric import ed25519
from PIL import Image, ImageDraw, ImageFont, features


def call():
    """A server and a client of the same process."""
    echo = grpc.method_handlers_generic_handler(
        "sample.Echo", {"Say": grpc.unary_unary_rpc_method_handler(lambda request, context: request[::-1])})
    server = grpc.server(ThreadPoolExecutor(1))
    server.add_generic_rpc_handlers((echo,))
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    with grpc.insecure_channel("127.0.0.1:%d" % port) as channel:
        said = channel.unary_unary("/sample.Echo/Say")(b"olleh", timeout=20, wait_for_ready=True)
    server.stop(None).wait()
    return said.decode()


def picture():
    image = Image.new("RGB", (32, 32), "navy")
    ImageDraw.Draw(image).text((2, 2), "x", font=ImageFont.load_default(12))
    sizes = {}
    for kind in ("JPEG", "PNG", "WEBP", "TIFF", "JPEG2000"):
        opened = io.BytesIO()
        image.save(opened, kind)
        sizes[kind] = Image.open(io.BytesIO(opened.getvalue())).size
    return sizes, features.check("freetype2")


def work():
    secret = Fernet(Fernet.generate_key())
    key = ed25519.Ed25519PrivateKey.generate()
    key.public_key().verify(key.sign(b"a"), b"a")
    transform = lxml.etree.XSLT(lxml.etree.XML(
        '<x:stylesheet version="1.0" xmlns:x="http://www.w3.org/1999/XSL/Transform">'
        '<x:template match="/"><b><x:value-of select="count(//i)"/></b></x:template></x:stylesheet>'))
    return {
        "numpy": round(float(numpy.linalg.inv(numpy.array([[2.0, 0], [0, 4]]))[1][1]), 3),
        "lxml": str(transform(lxml.etree.XML("<a><i/><i/></a>"))).splitlines()[-1],
        "psycopg2": psycopg2.extensions.libpq_version() > 100000,
        "cryptography": secret.decrypt(secret.encrypt(b"plain")).decode(),
        "grpcio": call(),
        "pillow": picture(),
    }
