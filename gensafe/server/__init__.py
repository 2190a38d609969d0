"""Floor 5: the gRPC front and the small HTTP app."""

import os

# grpc has no setting for the oldest version of TLS. This names a cipher of TLS 1.2 that needs a shared secret; there is
# none, so no handshake of 1.2 succeeds. The ciphers of 1.3 are not chosen by this variable. grpc reads it when it is
# loaded, so it is set before anything here loads it.
os.environ.setdefault("GRPC_SSL_CIPHER_SUITES", "ECDHE-PSK-AES128-CBC-SHA")
