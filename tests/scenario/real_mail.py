"""A real Postfix and a real Dovecot (Debian's), configured in a directory of their own, on loopback.

    with RealMail() as real:
        real.smtp_port, real.imap_port      STARTTLS only, signing in only: real.USER, real.PASSWORD
        real.mails("ann")                   what is in the mailbox of ann@example.test

Addresses of example.test that have no mailbox are accepted and come back, as from a server that asks
another one. Root only.
"""
import glob
import os
import shutil
import signal
import subprocess
import tempfile

from harness import end_pid, free_ports, wait_for
from mail_server import Authority

USER, PASSWORD = "approvals", "hunter2"
SBIN = "/usr/lib/postfix/sbin"
MAIN = """compatibility_level = 3.6
queue_directory = {base}/queue
data_directory = {base}/lib
daemon_directory = /usr/lib/postfix/sbin
command_directory = /usr/sbin
maillog_file = {base}/log
maillog_file_prefixes = {base}
mail_owner = postfix
setgid_group = postdrop
myhostname = mail.example.test
mydestination =
alias_maps =
inet_interfaces = loopback-only
inet_protocols = ipv4
virtual_mailbox_domains = example.test
virtual_mailbox_base = {base}/mail
virtual_mailbox_maps = inline:{{ann@example.test=ann/, bob@example.test=bob/, approvals@example.test=approvals/}}
virtual_uid_maps = static:{uid}
virtual_gid_maps = static:{gid}
virtual_minimum_uid = 1
smtpd_reject_unlisted_recipient = no
smtpd_tls_cert_file = {certificate}
smtpd_tls_key_file = {key}
smtpd_tls_security_level = encrypt
smtpd_tls_auth_only = yes
smtpd_sasl_auth_enable = yes
smtpd_sasl_type = dovecot
smtpd_sasl_path = {base}/auth
smtpd_relay_restrictions = permit_sasl_authenticated, reject
smtpd_recipient_restrictions = permit_sasl_authenticated, reject
"""
MASTER = """127.0.0.1:{smtp} inet n - n - - smtpd
cleanup unix n - n - 0 cleanup
qmgr unix n - n 300 1 qmgr
tlsmgr unix - - n 1000? 1 tlsmgr
rewrite unix - - n - - trivial-rewrite
bounce unix - - n - 0 bounce
defer unix - - n - 0 bounce
trace unix - - n - 0 bounce
proxymap unix - - n - - proxymap
error unix - - n - - error
retry unix - - n - - error
virtual unix - n n - - virtual
anvil unix - - n - 1 anvil
postlog unix-dgram n - n - 1 postlogd
"""
DOVECOT = """base_dir = {base}/dovecot
state_dir = {base}/dovecot-state
log_path = {base}/dovecot.log
protocols = imap
listen = 127.0.0.1
ssl = required
ssl_cert = <{certificate}
ssl_key = <{key}
mail_location = maildir:{base}/mail/%n
first_valid_uid = 1
disable_plaintext_auth = yes
auth_mechanisms = plain login
passdb {{
  driver = static
  args = password={password}
}}
userdb {{
  driver = static
  args = uid={uid} gid={gid} home={base}/mail/%n
}}
service imap-login {{
  inet_listener imap {{
    port = {imap}
  }}
  inet_listener imaps {{
    port = 0
  }}
}}
service auth {{
  unix_listener {base}/auth {{
    mode = 0666
  }}
}}
"""


class RealMail:
    USER, PASSWORD = USER, PASSWORD

    def __init__(self):
        import pwd
        self.base = tempfile.mkdtemp(prefix="flopinio-scenario-%d-" % os.getpid())
        os.chmod(self.base, 0o755)
        self.smtp_port, self.imap_port = free_ports(2)
        certificate, key = Authority.get().files("good")
        nobody = pwd.getpwnam("nobody")
        values = dict(base=self.base, smtp=self.smtp_port, imap=self.imap_port, password=PASSWORD,
                      certificate=certificate, key=key, uid=nobody.pw_uid, gid=nobody.pw_gid)
        for name in ("conf", "queue", "lib", "mail"):
            os.mkdir(self.base + "/" + name)
        for name in ("pid",):
            os.mkdir(self.base + "/queue/" + name)
        os.chown(self.base + "/mail", nobody.pw_uid, nobody.pw_gid)
        os.chown(self.base + "/lib", pwd.getpwnam("postfix").pw_uid, -1)
        for name, text in (("conf/main.cf", MAIN), ("conf/master.cf", MASTER),
                           ("dovecot.conf", DOVECOT)):
            with open(self.base + "/" + name, "w") as f:
                f.write(text.format(**values))
        self.started = []

    def __enter__(self):
        self.run("dovecot", "-F", "-c", self.base + "/dovecot.conf")
        wait_for("dovecot", lambda: os.path.exists(self.base + "/auth"), 20)
        subprocess.run(["/usr/sbin/postfix", "-c", self.base + "/conf", "check"], check=False,
                       stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        self.run(SBIN + "/master", "-c", self.base + "/conf", "-d")
        wait_for("postfix", lambda: self.listens(), 20)
        return self

    def run(self, *command):
        with open(self.base + "/output", "ab") as out:
            self.started.append(subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=out,
                                                 stderr=out, start_new_session=True))

    def listens(self):
        import socket
        with socket.socket() as s:
            return s.connect_ex(("127.0.0.1", self.smtp_port)) == 0

    def mails(self, name):
        found = []
        for path in glob.glob("%s/mail/%s/*/*" % (self.base, name)):
            if path.split("/")[-2] in ("new", "cur"):
                with open(path, "rb") as f:
                    found.append(f.read())
        return found

    def log(self):
        text = ""
        for name in ("output", "log", "dovecot.log"):
            if os.path.exists(self.base + "/" + name):
                with open(self.base + "/" + name, errors="replace") as f:
                    text += f.read()[-4000:]
        return text

    def __exit__(self, *exc):
        if exc[0] is not None:
            print(self.log())
        for process in self.started:
            end_pid(process.pid, signal.SIGTERM, 10)
            process.wait(10)
        shutil.rmtree(self.base, ignore_errors=True)
