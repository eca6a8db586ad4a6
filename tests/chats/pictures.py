#!/usr/bin/python3
"""Draws the golden cards as a phone of 360 px shows them: tests/chats/pictures.py [DIR] [NAME]...

Pictures for people to look at after a card changed; no test reads them. Sheets of four cards,
DIR/CHANNEL-N.png (default build/pictures). Needs Chromium (Debian: chromium).
"""
import glob
import html
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
CHROMIUM = ["--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run",
            "--disable-background-networking", "--disable-component-update", "--disable-sync",
            "--hide-scrollbars"]
COLUMNS, WIDTH, GAP = 4, 360, 20
STYLE = """
body { margin: 0; padding: 10px; display: flex; gap: %dpx; background: #888;
       font: 15px/1.46 Lato, Helvetica, Arial, "Noto Sans", sans-serif; align-items: flex-start }
.phone { width: %dpx; flex: none; background: #fff; box-sizing: border-box; overflow: hidden }
.name { background: #333; color: #fff; font-size: 12px; padding: 2px 8px }
.slack { padding: 8px 12px 12px 12px }
.slack .app { font-weight: 900 } .slack .app small { background: #eee; font-weight: 400; padding: 0 3px }
.slack h1 { font-size: 18px; line-height: 1.33; margin: 10px 0 4px; overflow-wrap: anywhere }
.slack p { margin: 8px 0; white-space: pre-wrap; overflow-wrap: anywhere }
.slack .keys { display: flex; flex-wrap: wrap; gap: 8px; margin-top: 10px }
.key { border: 1px solid #bbb; border-radius: 4px; padding: 4px 12px; font-weight: 700 }
.primary { background: #007a5a; color: #fff; border-color: #007a5a }
.danger { background: #e01e5a; color: #fff; border-color: #e01e5a }
.slack .input { border: 1px solid #888; border-radius: 4px; height: 70px }
.slack .bar { display: flex; justify-content: space-between; border-bottom: 1px solid #ddd;
              padding-bottom: 6px; font-weight: 700 }
.push { background: #ececf0; border-radius: 12px; padding: 8px 10px; margin: 8px; font-size: 13px;
        overflow-wrap: anywhere }
.mail { padding: 12px } .mail h1 { font-size: 18px; overflow-wrap: anywhere }
.telegram { background: #b9d3a4; padding: 8px }
.telegram .bubble { background: #fff; border-radius: 10px; padding: 7px 10px; max-width: 330px;
                    white-space: pre-wrap; overflow-wrap: anywhere }
.telegram code { font: 14px/1.4 "DejaVu Sans Mono", monospace; color: #168acd }
.telegram pre { font: 13px/1.4 "DejaVu Sans Mono", monospace; background: #eef3f8; margin: 2px 0;
                border-left: 3px solid #168acd; padding: 3px 6px; white-space: pre-wrap;
                overflow-wrap: anywhere }
.telegram .row { display: flex; gap: 4px; margin-top: 4px; max-width: 350px }
.telegram .row div { flex: 1; background: #0005; color: #fff; border-radius: 6px; text-align: center;
                     padding: 7px 2px; font-size: 14px; font-weight: 600 }
""" % (GAP, WIDTH)


def text_of(e):
    return html.escape(e["text"] if isinstance(e["text"], str) else e["text"]["text"])


def element(e):
    if e["type"] == "static_select":
        return '<span class="key">%s &#9662;</span>' % text_of({"text": e["placeholder"]})
    return '<span class="key %s">%s</span>' % (e.get("style", ""), text_of(e))


def slack(card):
    out = []
    if card.get("type") == "modal":
        out.append('<div class="bar"><span>%s</span><span>%s</span><span>%s</span></div>' % tuple(
            text_of({"text": card[k]}) if k in card else "" for k in ("close", "title", "submit")))
    else:
        out.append('<div class="app">Flopinio <small>APP</small></div>')
    for b in card["blocks"]:
        if b["type"] == "header":
            out.append("<h1>%s</h1>" % text_of(b))
        elif b["type"] == "section":
            out.append("<p>%s</p>" % text_of(b))
        elif b["type"] == "context":
            out.append("".join("<p><small>%s</small></p>" % text_of(e) for e in b["elements"]))
        elif b["type"] == "divider":
            out.append("<hr>")
        elif b["type"] == "actions":
            out.append('<div class="keys">%s</div>' % "".join(map(element, b["elements"])))
        elif b["type"] == "input":
            out.append('<p><b>%s</b></p><div class="input"></div>' % text_of({"text": b["label"]}))
        else:
            raise SystemExit("a block %s cannot be drawn yet" % b["type"])
    push = "" if card.get("type") == "modal" else (
        '<div class="push"><b>Slack</b><br>%s</div>' % card["text"])
    return push + '<div class="slack">%s</div>' % "".join(out)


def telegram(card):
    raw = card["text"].encode("utf-16-le")
    out, at = [], 0

    def piece(begin, end):
        return html.escape(raw[2 * begin:2 * end].decode("utf-16-le"))
    for e in card["entities"]:
        out.append(piece(at, e["offset"]))
        at = e["offset"] + e["length"]
        tag = {"bold": "b", "code": "code", "pre": "pre"}[e["type"]]
        out.append("<%s>%s</%s>" % (tag, piece(e["offset"], at), tag))
    out.append(piece(at, len(raw) // 2))
    text = re.sub(r"\n(<pre>)|(</pre>)\n", r"\1\2", "".join(out))
    rows = "".join('<div class="row">%s</div>' % "".join("<div>%s</div>" % text_of(k) for k in row)
                   for row in card["reply_markup"]["inline_keyboard"])
    first = html.escape(card["text"][:110])
    return ('<div class="push"><b>Telegram</b><br>%s</div><div class="telegram">'
            '<div class="bubble">%s</div>%s</div>' % (first, text, rows))


def mail(card):
    return '<div class="push"><b>Mail</b><br>%s</div><div class="mail"><h1>%s</h1>%s</div>' % (
        html.escape(card["subject"]), html.escape(card["title"]), card["html"])


def chromium(*args):
    program = shutil.which("chromium") or shutil.which("chromium-browser")
    if not program:
        raise SystemExit("pictures: Chromium is not here; install the Debian package chromium")
    with tempfile.TemporaryDirectory() as profile:
        return subprocess.run([program, "--user-data-dir=" + profile] + CHROMIUM + list(args),
                              stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                              stderr=subprocess.DEVNULL, text=True, timeout=120).stdout


def sheet(cards, draw, out):
    """cards: (name, JSON)"""
    page = "".join('<div class="phone"><div class="name">%s</div>%s</div>' % (name, draw(card))
                   for name, card in cards)
    with tempfile.TemporaryDirectory() as folder:
        path = folder + "/sheet.html"
        with open(path, "w") as f:
            f.write('<!doctype html><meta charset="utf-8"><style>%s</style><body>%s<script>'
                    'document.title = document.body.scrollHeight</script>' % (STYLE, page))
        width = len(cards) * (WIDTH + GAP)
        size = "--window-size=%d," % width
        found = re.search(r"<title>(\d+)</title>",
                          chromium(size + "800", "--dump-dom", "file://" + path))
        height = int(found.group(1)) if found else 1600
        chromium(size + str(height), "--screenshot=" + os.path.abspath(out), "file://" + path)
    print(out)


def main():
    out = sys.argv[1] if len(sys.argv) > 1 else ROOT + "/build/pictures"
    os.makedirs(out, exist_ok=True)
    for channel, draw in (("slack", slack), ("telegram", telegram), ("mail", mail)):
        cards = []
        for path in sorted(glob.glob("%s/tests/golden/%s/*.json" % (ROOT, channel))):
            name = os.path.basename(path)[:-5]
            if not sys.argv[2:] or name in sys.argv[2:]:
                with open(path) as f:
                    cards.append((name, json.load(f)))
        for at in range(0, len(cards), COLUMNS):
            sheet(cards[at:at + COLUMNS], draw, "%s/%s-%d.png" % (out, channel, at // COLUMNS + 1))


if __name__ == "__main__":
    main()
