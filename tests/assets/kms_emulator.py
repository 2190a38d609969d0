"""AWS KMS as moto emulates it, over HTTP; run by a Python that has ``moto`` and ``flask`` (``TEST_MOTO_PYTHON``).

Prints its address, serves until its standard input closes. moto 5.2 hashes a message of type DIGEST once more, against
AWS's reference; that one thing is mended here. Everything else is moto as it is.
"""

import sys

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import Prehashed
from moto.kms.models import KmsBackend
from moto.kms.responses import KmsResponse
from moto.server import ThreadedMotoServer

asked = {}
plain_response, plain_sign = KmsResponse.sign, KmsBackend.sign


def response(self):
    asked["kind"] = self._get_param("MessageType")
    return plain_response(self)


def sign(self, key_id, message, signing_algorithm):
    if asked.get("kind") != "DIGEST":
        return plain_sign(self, key_id, message, signing_algorithm)
    key = self.describe_key(key_id)
    return key.id, key.private_key.private_key.sign(message, ec.ECDSA(Prehashed(hashes.SHA256()))), signing_algorithm


KmsResponse.sign, KmsBackend.sign = response, sign
server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
server.start()
print("http://{}:{}".format(*server.get_host_and_port()), flush=True)
sys.stdin.read()
server.stop()
