"""Exit 0 if the server in this container is alive: for HEALTHCHECK. Asks the HTTP port named by GENSAFE_SERVER_HTTP."""

import http.client
import os
import ssl
import sys

port = int(os.environ.get("GENSAFE_SERVER_HTTP", "0.0.0.0:8080").rpartition(":")[2])
unchecked = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)  # it asks itself; the certificate is for the name that callers use
unchecked.check_hostname, unchecked.verify_mode = False, ssl.CERT_NONE
connection = http.client.HTTPSConnection("127.0.0.1", port, timeout=4, context=unchecked)
try:
    connection.request("GET", "/livez")
    sys.exit(connection.getresponse().status != http.HTTPStatus.OK)
except OSError as error:
    sys.exit(f"no answer: {error}")
