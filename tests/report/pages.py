"""What every page of a report has to hold."""

import base64
import hashlib
import html
import re
from html.parser import HTMLParser

HOSTILE = "<script>alert('x')</script>&\"$\\frac{1}{0}$"
VOID = {"meta", "wbr", "br", "link", "img"}


class Checker(HTMLParser):
    """Collects tags, ids, references and visible text, and checks that tags are balanced."""

    def __init__(self):
        super().__init__()
        self.open, self.tags, self.ids, self.links, self.text = [], [], [], [], ""

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)
        if tag not in VOID:
            self.open.append(tag)
        self.ids += [v for k, v in attrs if k == "id"]
        self.links += [v for k, v in attrs if k in ("href", "src", "xlink:href")]

    def handle_startendtag(self, tag, attrs):
        self.handle_starttag(tag, attrs)
        self.open.pop()

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        self.text += data


def check_policy(page):
    """Nothing is loaded, and the one script is the one that the policy names."""
    (policy,) = re.findall(r'http-equiv="Content-Security-Policy" content="([^"]*)"', page)
    (script,) = re.findall(r"<script>(.*?)</script>", page, flags=re.DOTALL)
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    rules = dict(rule.split(" ", 1) for rule in html.unescape(policy).split("; "))
    assert rules["default-src"] == "'none'"
    assert rules["script-src"] == f"'sha256-{digest}'"
    assert not re.findall(r"<[^>]*\son[a-z]+=", page)


def check(page):
    """Check a page, and return what was found in it."""
    checker = Checker()
    checker.feed(page)
    checker.close()
    assert checker.open == []
    assert len(checker.ids) == len(set(checker.ids))
    inner = [link for link in checker.links if link != "trials.csv"]
    assert all(link.startswith("#") and link[1:] in checker.ids for link in inner)
    for target in re.findall(r"url\(#([^)]*)\)", page):
        assert target in checker.ids
    check_policy(page)
    return checker
