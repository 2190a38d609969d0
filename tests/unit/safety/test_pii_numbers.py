"""Numbers that are personal data, and the many more that are not.

On the rules before, 30 of the 49 ordinary lines below were painted over in every text output (dates near "contact",
populations, clauses, versions, ISBN, order numbers), and 38 of the 58 personal numbers were missed or cut.
"""

from __future__ import annotations

import pytest

from gensafe.safety.rules.pii import find_pii

ORDINARY = """
Contact us before 31.12.2024 for a refund.
Call by 2024-12-31 or 12/31/2024, text before 31-12-24.
Call on 1.2.2025; reach out 2025/02/01.
You can reach us 01.02.2024 - 15.03.2024.
Call us Monday 09.00-17.00 or 0900-1700.
Contact hours: 8:30 - 16:30, call 9h00-17h30.
The population will reach 12 500 000 people by 2030.
In this text the number 34 872 119 is the count.
The number of calls rose to 34,872,119 in 2023.
Phone makers sold 12 500 000 units.
Mobile subscribers: 1 234 567 890 in 2021.
See section 5.2.1.3 of the standard.
Article 10.12.13.14 does not apply.
Version 4.18.0.25 is out; upgrade from 4.17.19.2 now.
Requires numpy 1.26.4.0 and text-lib 10.0.19045.3803.
The OID is 2.5.4.3 and 1.3.6.1.4.1.311.20.2.3.
This text is published as ISBN 978-3-16-148410-0.
ISBN 0-306-40615-2, ISSN 2049-3630, doi 10.1000/182345678.
DOI: 10.1038/s41586-020-2649-2
Invoice number 2024-0012345 is due.
Your order number is 112-7748291-0023.
Order no. 20240131 was called off.
Tracking number 1Z 999 AA1 01 2345 6784
Tracking: 9400 1000 0000 0000 0000 00
Ticket 12345678, case number: 2024/123456.
Reference number 1234 5678 9012
Contact person for account 12345678 changed.
Coordinates 52.5200, 13.4050; reach 48.858370, 2.294481.
+52.520008 -013.404954
120 45 1000
1   120   45   1000   230
| 120 | 45 | 1000 |
git clone git@github.com:user/repo.git
The image is logo@2x.png and react@18.2.0.
MAC 00:00:00:00:00:00 and ff:ff:ff:ff:ff:ff
aa:bb:cc:dd:ee:ff
Example hosts: 192.0.2.1, 198.51.100.7, 203.0.113.9, 2001:db8::1
listen on 0.0.0.0:8080 and 127.0.0.1:50051
call f(100000, 200000) = 300000
He called 60000 - 10800 = 49200 of them.
1939-1945, 1914 - 1918, number of deaths
Call 20240131T120000Z
Unix time 1700000000 in the text
The text costs $1,250,000.00 or 1.250.000,00 EUR
text 0.4996667741545416 number
Pi is 3.14159265358979, call it that.
Contact: rows 100 to 200, 300 to 400, 500 to 600
Port 50051, number 8443, contact 9090
e.g. 4111-1111-1111-1112
""".strip().splitlines()

PERSONAL = [
    ("call +49 170 1234567 now", "phone", "+49 170 1234567"),
    ("+491701234567", "phone", "+491701234567"),
    ("0049 170 1234567", "phone", "0049 170 1234567"),
    ("(415) 555-2671", "phone", "(415) 555-2671"),
    ("415-555-2671 is hers", "phone", "415-555-2671"),
    ("1-800-555-0199", "phone", "1-800-555-0199"),
    ("my phone number: 030 1234567", "phone", "030 1234567"),
    ("Tel. 22 500 000", "phone", "22 500 000"),
    ("Phone: 12 500 000", "phone", "12 500 000"),
    ("Call me at 5551234567", "phone", "5551234567"),
    ("Mon numéro : 06 12 34 56 78", "phone", "06 12 34 56 78"),
    ("06 12 34 56 78", "phone", "06 12 34 56 78"),
    ("06.12.34.56.78", "phone", "06.12.34.56.78"),
    ("01\u00a042\u202f68\u00a053\u00a000", "phone", "01\u00a042\u202f68\u00a053\u00a000"),
    ("020 7946 0958", "phone", "020 7946 0958"),
    ("07700 900123", "phone", "07700 900123"),
    ("0171 1234567", "phone", "0171 1234567"),
    ("(030) 123456", "phone", "(030) 123456"),
    ("089/123456", "phone", "089/123456"),
    ("98765 43210", "phone", "98765 43210"),
    ("090-1234-5678", "phone", "090-1234-5678"),
    ("138 1234 5678", "phone", "138 1234 5678"),
    ("0412 345 678", "phone", "0412 345 678"),
    ("079 123 45 67", "phone", "079 123 45 67"),
    ("(11) 98765-4321", "phone", "(11) 98765-4321"),
    ("\uff0b\uff14\uff19 170 1234567", "phone", "\uff0b\uff14\uff19 170 1234567"),
    ("Card 4111\u00a01111\u00a01111\u00a01111.", "card", "4111\u00a01111\u00a01111\u00a01111"),
    ("4111\u202f1111\u20091111\u20071111", "card", "4111\u202f1111\u20091111\u20071111"),
    ("\uff14" + "\uff11" * 15, "card", "\uff14" + "\uff11" * 15),
    ("\u0664" + "\u0661" * 15, "card", "\u0664" + "\u0661" * 15),
    ("\u096a" + "\u0967" * 15, "card", "\u096a" + "\u0967" * 15),
    ("4111.1111.1111.1111", "card", "4111.1111.1111.1111"),
    ("4111\u20131111\u20111111\u22121111", "card", "4111\u20131111\u20111111\u22121111"),
    ("4111 1111-1111.1111", "card", "4111 1111-1111.1111"),
    ("4111 1111\n1111 1111", "card", "4111 1111\n1111 1111"),
    ("4111 - 1111 - 1111 - 1111", "card", "4111 - 1111 - 1111 - 1111"),
    ("4111\u200b1111\u200b1111\u200b1111", "card", "4111\u200b1111\u200b1111\u200b1111"),
    ("4 1 1 1 1 1 1 1 1 1 1 1 1 1 1 1", "card", "4 1 1 1 1 1 1 1 1 1 1 1 1 1 1 1"),
    ("pay 4111 1111 1111 1111 12/30", "card", "4111 1111 1111 1111"),
    ("amex 3714 496353 98431", "card", "3714 496353 98431"),
    ("\U0001d7d2" + "\U0001d7cf" * 15, "card", "\U0001d7d2" + "\U0001d7cf" * 15),
    ("de89370400440532013000", "iban", "de89370400440532013000"),
    (
        "DE89\u00a03704\u00a00044\u00a00532\u00a00130\u00a000 bitte",
        "iban",
        "DE89\u00a03704\u00a00044\u00a00532\u00a00130\u00a000",
    ),
    ("DE89.3704.0044.0532.0130.00", "iban", "DE89.3704.0044.0532.0130.00"),
    ("DE89-3704-0044-0532-0130-00", "iban", "DE89-3704-0044-0532-0130-00"),
    ("de89 3704 0044 0532\n0130 00 is it", "iban", "de89 3704 0044 0532\n0130 00"),
    ("\uff24\uff25\uff18\uff19 3704 0044 0532 0130 00", "iban", "\uff24\uff25\uff18\uff19 3704 0044 0532 0130 00"),
    ("GB82 WEST 1234 5698 7654 32", "iban", "GB82 WEST 1234 5698 7654 32"),
    ("ssn 536-90-4399", "ssn", "536-90-4399"),
    ("SSN 536\u201190\u20114399", "ssn", "536\u201190\u20114399"),
    ("my ssn: 536 90 4399", "ssn", "536 90 4399"),
    ("my social is 536904399", "ssn", "536904399"),
    ("from 93.184.216.34 at noon", "ip", "93.184.216.34"),
    ("client ip 8.8.4.4", "ip", "8.8.4.4"),
    ("93.184.216.34", "ip", "93.184.216.34"),
    ("2a00:1450:4001:81b::200e is mine", "ip", "2a00:1450:4001:81b::200e"),
    ("mac 00:1B:44:11:3A:B7", "mac", "00:1B:44:11:3A:B7"),
    ("ann\uff20example\uff0eorg", "email", "ann\uff20example\uff0eorg"),
]


@pytest.mark.parametrize("text", ORDINARY)
def test_an_ordinary_number_is_left_alone(text: str):
    assert [(h.kind, text[h.start : h.end]) for h in find_pii(text)] == []


@pytest.mark.parametrize(("text", "kind", "passage"), PERSONAL)
def test_personal_data_is_found_where_it_stands(text: str, kind: str, passage: str):
    assert (kind, passage) in [(h.kind, text[h.start : h.end]) for h in find_pii(text)]
