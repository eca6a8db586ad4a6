# shows: mail through a real SMTP server, bounces from a real IMAP server; the fakes against Python's own clients
# budget: 30
# order: 34
# needs: python3-psycopg2 postfix dovecot-imapd
# shellcheck shell=bash

run() { t_stream mail /usr/bin/python3 tests/scenario/run.py group_mail; }
